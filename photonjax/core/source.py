"""The laser."""

from __future__ import annotations

from photonjax.core.pytree import Scalar, leaf, stage


@stage
class Source:
    """The laser.

    Attributes:
      rin_db_hz: relative intensity noise of the laser, common to all columns [dB/Hz].
      channel_rin_db_hz: the same of each input's own laser line, independent between inputs [dB/Hz].
    """

    rin_db_hz: Scalar | None = leaf(None, low=-250.0, high=-50.0)
    channel_rin_db_hz: Scalar | None = leaf(None, low=-250.0, high=-50.0)

"""Detectors and amplifiers."""

from __future__ import annotations

from photonjax.core.pytree import Scalar, leaf, stage


@stage
class Receiver:
    """Detectors and amplifiers, one pair for each output.

    Attributes:
      noise_a_per_rthz: input-referred current noise of each detector's receiver
        [A/sqrt(Hz), one-sided]; needs ``photons``.
      dark_current_a: of each detector [A]; its mean is subtracted, its shot noise stays; needs
        ``photons``.
      saturation_electrons: what one detector can hold of a symbol [electrons]; needs ``photons``, and
        (``differential``) pays for the exact ``sum |a||b|``.
      relative_noise: standard deviation of a dynamic error of each output sample, in proportion to it.
      gain_error: standard deviation of the relative gain of a column's receiver.
      offset_error: standard deviation of its offset, in units of the ADC's full scale.
    """

    noise_a_per_rthz: Scalar | None = leaf(None, low=0.0)
    dark_current_a: Scalar | None = leaf(None, low=0.0)
    saturation_electrons: Scalar | None = leaf(None, above=0.0)
    relative_noise: Scalar | None = leaf(None, low=0.0, high=0.5)
    gain_error: Scalar | None = leaf(None, low=0.0, high=0.5)
    offset_error: Scalar | None = leaf(None, low=0.0, high=1.0)

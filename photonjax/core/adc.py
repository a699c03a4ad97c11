"""The converter: what an analog sum becomes when it is digitised."""

from __future__ import annotations

from photonjax.core.pytree import Scalar, leaf, stage, static


@stage
class ADC:
    """The converter of an output.

    Attributes:
      bits: resolution; ``None`` means no ADC.
      range: full scale in units of ``sqrt(rows used)`` of ``p``, used where a site was not given a
        calibrated range of its own.
      enob: effective number of bits; the noise missing between it and ``bits`` is added. ``None``: an
        ideal quantizer.
      inl_lsb: largest integral nonlinearity [least significant bits].
    """

    bits: int | None = static(8, low=1, high=16)
    range: Scalar = leaf(1.0, above=0.0)
    enob: Scalar | None = leaf(None, above=0.0, high=24.0)
    inl_lsb: Scalar | None = leaf(None, low=0.0, high=64.0)

    def __post_init__(self) -> None:
        for name in ("enob", "inl_lsb"):
            if getattr(self, name) is not None and self.bits is None:
                raise ValueError(
                    f"OpticalCore.adc.{name} is set but adc.bits is None: there is no ADC; set "
                    "adc.bits too"
                )

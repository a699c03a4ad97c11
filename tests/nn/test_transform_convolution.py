"""Convolutions on light: every form that `lax.conv_general_dilated` has, by hand and through `pj.optical`."""

import zlib

import jax
import numpy as np
import pytest
from jax import lax

import photonjax as pj
from photonjax.core.convolution import optical_conv

pytestmark = pytest.mark.slow  # minutes together: on one Python

EXACT = pj.OpticalCore(
    rows=64, cols=64, input={"bits": None}, array={"bits": None}, adc={"bits": None}
)
NOISY = pj.OpticalCore(rows=16, cols=16, photons=1e3)
KEY = jax.random.key(3)

# shapes of input and kernel, strides, padding, and the rest
FORMS = {
    "1-D": ((2, 3, 7), (4, 3, 2), (1,), "VALID", {}),
    "channels last, strides, holes": (
        (2, 5, 6, 3),
        (3, 2, 3, 4),
        (2, 1),
        "SAME",
        dict(dimension_numbers=("NHWC", "HWIO", "NHWC"), rhs_dilation=(1, 2)),
    ),
    "transposed": ((2, 3, 5), (4, 3, 2), (1,), ((2, 1),), dict(lhs_dilation=(2,))),
    "transposed, phases of several sizes": (
        (2, 4, 5, 3),
        (3, 2, 3, 4),
        (1, 2),
        ((1, 2), (2, 0)),
        dict(dimension_numbers=("NHWC", "HWIO", "NHWC"), lhs_dilation=(2, 3), rhs_dilation=(1, 2)),
    ),
    "transposed, depthwise": (
        (2, 4, 5),
        (4, 1, 4),
        (1,),
        ((3, 3),),
        dict(feature_group_count=4) | dict(lhs_dilation=(2,)),
    ),
    "transposed, a phase without a tap": (
        (2, 3, 5),
        (4, 3, 2),
        (1,),
        ((0, 3),),
        dict(lhs_dilation=(3,)),
    ),
    "odd layouts": (
        (5, 2, 6),
        (2, 6, 4),
        (1,),
        "SAME",
        dict(dimension_numbers=("WNC", "WIO", "CWN")),
    ),
    "groups": (
        (2, 5, 5, 6),
        (2, 2, 3, 4),
        (1, 1),
        "VALID",
        dict(dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=2),
    ),
    "depthwise": ((2, 4, 7), (4, 1, 3), (1,), "SAME", dict(feature_group_count=4)),
    "batch groups": ((4, 3, 5), (6, 3, 2), (1,), "VALID", dict(batch_group_count=2)),
}


@pytest.mark.parametrize("form", FORMS)
def test_is_lax_convolution(form):
    x_shape, w_shape, strides, padding, rest = FORMS[form]
    x = jax.random.normal(jax.random.key(0), x_shape)
    w = jax.random.normal(jax.random.key(1), w_shape)
    wanted = lax.conv_general_dilated(x, w, strides, padding, **rest)
    y = optical_conv(x, w, strides, padding, core=EXACT, **rest)
    assert y.shape == wanted.shape
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)

    f = lambda p, x: lax.conv_general_dilated(x, p["kernel"], strides, padding, **rest)
    g = pj.optical(f, [pj.Rule("kernel", NOISY)])
    site = g.report({"kernel": w}, x).optical[0]
    assert (site.path, site.shape) == ("kernel", w_shape)
    number = zlib.crc32(b"kernel")
    key = jax.random.fold_in(jax.random.fold_in(KEY, number), 0)
    by_hand = optical_conv(x, w, strides, padding, core=NOISY, key=key, site=number, **rest)
    np.testing.assert_array_equal(g(KEY, {"kernel": w}, x), by_hand)
    assert np.abs(by_hand - wanted).max() > 1e-3


def test_patches_are_tokens_and_the_kernel_is_the_matrix():
    """With a window as large as the image, a convolution is the product of flattened arrays."""
    x = jax.random.normal(jax.random.key(0), (5, 3, 3, 2))
    w = jax.random.normal(jax.random.key(1), (3, 3, 2, 4))
    numbers = ("NHWC", "HWIO", "NHWC")
    y = optical_conv(x, w, (1, 1), "VALID", dimension_numbers=numbers, core=NOISY, key=KEY, site=7)
    flat = pj.optical_dot_general(
        x.reshape(5, 18), w.reshape(18, 4), (((1,), (0,)), ((), ())), core=NOISY, key=KEY, site=7
    )
    np.testing.assert_array_equal(y.reshape(5, 4), flat)
    # and so it is with the weight written into the array once
    held = pj.program(w, NOISY, contracting=(0, 1, 2), site=7)
    again = optical_conv(
        x, held, (1, 1), "VALID", dimension_numbers=numbers, core=NOISY, key=KEY, site=7
    )
    np.testing.assert_array_equal(again, y)


def test_gradients_are_those_of_the_convolution():
    x_shape, w_shape, strides, padding, rest = FORMS["groups"]
    x = jax.random.normal(jax.random.key(0), x_shape)
    w = jax.random.normal(jax.random.key(1), w_shape)

    def loss(convolve):
        return jax.grad(lambda x, w: (convolve(x, w, strides, padding, **rest) ** 2).sum(), (0, 1))

    light = loss(lambda *a, **o: optical_conv(*a, core=EXACT, **o))(x, w)
    for mine, theirs in zip(light, loss(lax.conv_general_dilated)(x, w), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((1, 3, 5), (4, 2, 2)), {}, "x has 3 channels, the kernel takes 2 in each of 1 groups"),
        (((1, 4, 5), (3, 2, 2)), dict(feature_group_count=2), "3 output features and a batch of 1"),
        (((3, 4, 5), (4, 4, 2)), dict(batch_group_count=2), "a batch of 3 do not split into 2"),
        (
            ((2, 4, 5), (4, 2, 2)),
            dict(feature_group_count=2, batch_group_count=2),
            "one must be 1",
        ),
    ],
)
def test_shapes_that_do_not_fit(shapes, options, message):
    x, w = map(jax.numpy.ones, shapes)
    with pytest.raises(ValueError, match=message):
        optical_conv(x, w, (1,), "VALID", core=EXACT, **options)

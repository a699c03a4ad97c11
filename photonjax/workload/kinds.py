"""What kind of work a primitive is."""

__all__ = ["UNSUPPORTED", "kind_of"]

_KINDS = {
    "elementwise": """
        abs add add_any and ceil clamp clz complex conj convert_element_type div eq eq_to floor ge
        ge_to gt gt_to imag integer_pow is_finite le le_to lt lt_to max min mul ne neg nextafter not
        one_minus_square or population_count real reduce_precision rem round select_n shift_left
        shift_right_arithmetic shift_right_logical sign square sub xor""",
    "transcendental": """
        acos acosh asin asinh atan atan2 atanh cbrt cos cosh digamma erf erf_inv erfc exp exp2 expm1
        lgamma log log1p log2 logistic pow rsqrt sin sinh sqrt tan tanh""",
    "reduction": """
        argmax argmin cumlogsumexp cummax cummin cumprod cumsum reduce reduce_and reduce_max
        reduce_min reduce_or reduce_prod reduce_sum reduce_xor reduce_window reduce_window_max
        reduce_window_min reduce_window_sum""",
    "movement": """
        approx_top_k concatenate copy dynamic_slice dynamic_update_slice gather pad scatter
        scatter-add scatter_add scatter_max scatter_min scatter_mul scatter_sub sort stack top_k
        unstack""",
    "layout": """
        after_all bitcast_convert_type broadcast broadcast_in_dim copy_p create_token device_put
        empty empty2 expand_dims iota layout_constraint mesh_cast name optimization_barrier pvary
        reshape reshard rev sharding_constraint slice split squeeze stop_gradient transpose""",
    "random": """
        random_bits random_clone random_fold_in random_gamma random_seed random_split random_unwrap
        random_wrap rng_bit_generator rng_uniform threefry2x32""",
    "communication": """
        all_gather all_gather_invariant all_to_all axis_index pmax pmin ppermute psum psum2
        psum_invariant ragged_all_to_all reduce_scatter""",
}

_KIND = {name: kind for kind, names in _KINDS.items() for name in names.split()}

_UNSUPPORTED = """
    cholesky core_map custom_partitioning debug_callback debug_print eig eigh
    fft ffi_call geqrf hessenberg householder_product io_callback linear_solve lu
    mosaic_gpu_core_map pallas_call pure_callback qr ragged_dot ragged_dot_general scaled_dot
    scaled_matmul scaled_matmul_wrapper schur svd tpu_custom_call triangular_solve tridiagonal_solve"""

UNSUPPORTED = frozenset(_UNSUPPORTED.split())
"""Primitives that multiply, or may, in a way that is not counted here, or that cannot be entered."""


def kind_of(primitive: str) -> str:
    """Kind of work a primitive is (see :class:`photonjax.workload.Operation`); ``other`` if it is
    not known.

    >>> kind_of("exp"), kind_of("reduce_sum"), kind_of("gather")
    ('transcendental', 'reduction', 'movement')
    """
    return _KIND.get(primitive, "other")

"""Which operators hold no convolution and no matrix product, so that a count is whole without them.

Counts nothing, and gives an operator the benefit of no doubt: what is not known here is named beside the count.
"""

from functools import cache
from typing import Any

import torch

# Neither pointwise, nor a reduction, nor a view by torch's own tags, and yet without a product of matrices.
FREE_OF_PRODUCTS = """
_batch_norm_impl_index _batch_norm_no_update _fused_rms_norm _native_batch_norm_legit
_native_batch_norm_legit_no_training batch_norm group_norm instance_norm layer_norm native_batch_norm native_group_norm
native_layer_norm rms_norm _weight_norm _weight_norm_interface native_norm norm_except_dim renorm
_log_softmax _logcumsumexp _masked_softmax _safe_softmax _softmax cummax cummin cumprod cumsum log_softmax
logcumsumexp softmax _cummax_helper _cummin_helper
argsort argwhere bucketize isin kthvalue median mode msort nanmedian nonzero nonzero_static searchsorted sort topk
_unique2 unique_consecutive unique_dim
_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d fractional_max_pool2d
fractional_max_pool3d max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d
max_pool3d_with_indices max_unpool2d max_unpool3d
_upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d
_upsample_nearest_exact3d grid_sampler grid_sampler_2d grid_sampler_3d upsample_bicubic2d upsample_bilinear2d
upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d
_prelu_kernel alpha_dropout dropout feature_alpha_dropout feature_dropout glu hardswish log_sigmoid
log_sigmoid_forward native_dropout prelu rrelu_with_noise
_embedding_bag _embedding_bag_forward_only _local_scalar_dense _pack_padded_sequence _pad_circular _pad_enum
_pad_packed_sequence _reshape_copy _shape_as_tensor _stack _to_copy _unsafe_index _unsafe_index_put
_unsafe_masked_index _unsafe_view as_strided_ as_strided_scatter block_diag cat channel_shuffle col2im
column_stack concat concatenate constant_pad_nd contiguous copy copy_ diag diag_embed diagflat diagonal_scatter dstack
embedding embedding_bag fill_diagonal flip fliplr flipud gather hstack im2col index index_add index_copy index_fill
index_put index_reduce index_select item lift lift_fresh_copy masked_scatter masked_select meshgrid
native_channel_shuffle numel one_hot pad pixel_shuffle pixel_unshuffle put reflection_pad1d reflection_pad2d
reflection_pad3d repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d resize roll rot90
scatter scatter_add scatter_reduce select_scatter slice_scatter stack take take_along_dim tile trace tril triu
unsafe_chunk unsafe_split unsafe_split_with_sizes vstack
arange bernoulli bernoulli_ complex empty empty_like empty_permuted empty_strided exponential eye fill full full_like
linspace logspace multinomial new_empty new_empty_strided new_full new_ones new_zeros normal normal_functional ones
ones_like polar rand rand_like randint randint_like randn randn_like random randperm scalar_tensor tensor tril_indices
triu_indices uniform zero zero_ zeros zeros_like
absolute arccos arccosh arcsin arcsinh arctan arctan2 arctanh clip diff divide fix floor_divide greater greater_equal
less less_equal multiply negative not_equal subtract true_divide type_as
binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy_loss ctc_loss
hinge_embedding_loss huber_loss kl_div l1_loss margin_ranking_loss mse_loss multi_margin_loss multilabel_margin_loss
multilabel_margin_loss_forward nll_loss nll_loss2d nll_loss2d_forward nll_loss_forward nll_loss_nd poisson_nll_loss
smooth_l1_loss soft_margin_loss triplet_margin_loss
_batch_norm_with_update _batch_norm_with_update_functional _native_batch_norm_legit_functional batch_norm_elemt
batch_norm_gather_stats batch_norm_gather_stats_with_counts batch_norm_stats batch_norm_update_stats
embedding_renorm frobenius_norm linalg_matrix_norm linalg_norm
bincount histc histogram histogramdd _histogramdd_bin_edges _histogramdd_from_bin_cts _histogramdd_from_bin_tensors
_aminmax _unique nanmean nanquantile quantile segment_reduce unique_dim_consecutive
cosine_similarity cross cumulative_trapezoid degrees dist gradient isclose isreal linalg_cross modf pairwise_distance
radians sum_to_size trapezoid trapz vander linalg_vander
_choose_qparams_per_tensor _fake_quantize_learnable_per_channel_affine _fake_quantize_learnable_per_tensor_affine
_fake_quantize_per_tensor_affine_cachemask_tensor_qparams _make_per_channel_quantized_tensor
_make_per_tensor_quantized_tensor choose_qparams_optimized dequantize fake_quantize_per_channel_affine
fake_quantize_per_channel_affine_cachemask fake_quantize_per_tensor_affine fake_quantize_per_tensor_affine_cachemask
fused_moving_avg_obs_fake_quant int_repr quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic
_chunk_cat _copy_from _copy_from_and_resize _index_put_impl _jagged_to_padded_dense_forward _lazy_clone _pack_sequence
_padded_dense_to_jagged_forward _pin_memory _reshape_from_tensor _resize_output _to_cpu
_unsafe_masked_index_put_accumulate _upsample_lanczos2d_aa append atleast_1d atleast_2d atleast_3d broadcast_tensors
cartesian_prod chalf combinations fft_fftshift fft_ifftshift flatten_dense_tensors nested_to_padded_tensor
nonzero_numpy pad_sequence resize_as row_stack set set_data to_padded_tensor unflatten_dense_tensors
_efficientzerotensor _fill_mem_eff_dropout_mask _sample_dirichlet _sobol_engine_draw _standard_gamma bartlett_window
binomial blackman_window cauchy fft_fftfreq fft_rfftfreq geometric hamming_window hann_window kaiser_window log_normal
poisson range rrelu_with_noise_functional
_functional_assert_async _functional_assert_scalar _functional_sym_constrain_range
_functional_sym_constrain_range_for_size _infer_size _is_all_true _is_any_true _list_to_tensor _tensor_to_list
broadcast_shapes can_cast element_size get_device hash_tensor is_coalesced is_conj is_inference is_leaf is_neg
is_pinned is_set_to is_signed promote_types record_stream requires_grad_ result_type warn
Bool Complex ComplexImplicit Float FloatImplicit Int IntImplicit ScalarImplicit _assert_async _assert_scalar
_assert_tensor_metadata _print allclose device dim equal is_complex is_contiguous is_floating_point is_nonzero
is_same_size len size storage_offset stride sym_numel sym_size sym_storage_offset sym_stride
"""
_FREE = frozenset(FREE_OF_PRODUCTS.split())
# Whole families: of pointwise operators over lists of tensors, of casts, of special functions.
_FREE_FAMILIES = ("_foreach_", "_cast_", "special_")
# What other libraries do with boxes.
_FREE_ELSEWHERE = {
    "torchvision": frozenset(["nms", "qnms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "_cuda_version"]),
}
# Marks in a profile, messages between processes, random numbers: whole libraries without arithmetic on weights.
_FREE_LIBRARIES = frozenset(["profiler", "c10d", "_c10d_functional", "c10d_functional", "debugprims", "rngprims"])
_COPIES = frozenset(["clone", "contiguous", "copy", "detach", "reshape", "_to_copy", "to", "view_copy"])


@cache
def is_free_of_products(name: str) -> bool:
    """Whether an operator such as `aten::gelu` can hold no convolution and no matrix product, as far as is known.

    A view holds none, whichever library it is of: its result is its argument's memory. Nor does a copy, nor what its
    library has tagged as pointwise or as a reduction.
    """
    library, _, base = name.partition("::")
    plain = base.removesuffix("_")
    if library in _FREE_LIBRARIES or plain in _COPIES:
        return True
    if library == "aten" and (base in _FREE or plain in _FREE or base.startswith(_FREE_FAMILIES)):
        return True
    if base in _FREE_ELSEWHERE.get(library, ()):
        return True
    return any(_moves_or_maps(overload) for one in {base, plain, plain.removesuffix("_copy")} for overload in
               _overloads(library, one))  # fmt: skip


def _moves_or_maps(overload: Any) -> bool:
    return bool(overload.is_view or {torch.Tag.pointwise, torch.Tag.reduction} & set(overload.tags))


def _overloads(library: str, base: str) -> list[Any]:
    """All forms of an operator; none where no library of this process has it."""
    packet = getattr(getattr(torch.ops, library, None), base, None) if base.isidentifier() else None
    known = getattr(packet, "overloads", None)
    return [getattr(packet, overload) for overload in known()] if callable(known) else []

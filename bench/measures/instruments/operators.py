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
Bool Float Int IntImplicit ScalarImplicit _assert_async _assert_scalar _assert_tensor_metadata _print allclose device
dim equal is_complex is_contiguous is_floating_point is_nonzero is_same_size len size storage_offset stride sym_numel
sym_size sym_storage_offset sym_stride
"""
_FREE = frozenset(FREE_OF_PRODUCTS.split())
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
    if library == "aten" and (base in _FREE or plain in _FREE):
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

"""The arithmetic of partitioned convolution: spectra in tiles, and a complex multiply-accumulate that stays in registers.

A spectrum is kept as tiles of WIDTH bins, real parts and imaginary parts apart, so that one tile is two vector
registers. Tiles are the outermost dimension: within one, responses are read front to back while all sums stay in
registers. Compilers do not find this by themselves (the arrays may alias), so the innermost loop is written down as
LLVM instructions.

Long responses do not fit into a cache, and reading them is what takes the time. So each is read for several blocks to
come: partition q meets a spectrum that is q blocks old, hence its share of the next q blocks is already known. The
partitions q + 1 in [T, 2 T) are each read every T blocks, for T of them, one partition of the group a block.

Layouts, all float32 on cache lines; n_tiles = ceil(n_bins / WIDTH):
    responses  (n_tiles, n_parts, n_in, n_out, 2, WIDTH)
    lines      (n_tiles, n_parts, n_in, 2, WIDTH): spectra of the inputs, a ring whose newest row is its head and
               whose older ones follow
    sums       (N_SUMS, n_tiles, n_out, 2, WIDTH): of this block and those to come, a ring
"""

# llvmlite has no types, and calls of an intrinsic leave out its first parameter.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportReturnType=false

from __future__ import annotations

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, config
from numba.extending import intrinsic

from engines.specs import Float32


def _has_avx512() -> bool:
    """Whether what numba compiles may use AVX-512; NUMBA_CPU_FEATURES overrides the processor."""
    if config.CPU_FEATURES is not None:
        return "+avx512f" in config.CPU_FEATURES
    return bool(llvm.get_host_cpu_features().get("avx512f", False))


# Floats in a vector register.
WIDTH = 16 if _has_avx512() else 8
# Successive blocks whose sums fit into the registers together: AVX-512 has 32 of them, AVX2 16.
_TURNS = 2 if WIDTH == 16 else 1
# Blocks for which a response is read at once, at most; a power of two.
N_SUMS = 8
# Responses that are read again for the next blocks should still be in the first-level cache.
_CACHED_FLOATS = 3100
# Responses that stay in the second-level cache are read for every block: that needs fewer sums.
_NEAR_FLOATS = 300_000
# Outputs whose sums fit into the registers at once.
_MOST_OUTS = 6


def outs_at_once(n_out: int) -> tuple[int, ...]:
    """Outputs are summed in equal groups; a tuple as long as a group, because kernels are compiled for its length."""
    groups = -(-n_out // _MOST_OUTS)
    return tuple(range(-(-n_out // groups)))


def aligned_zeros(*shape: int) -> Float32:
    """Float32 zeros that begin on a cache line: a vector that straddles two is read at half the speed."""
    count = int(np.prod(shape, dtype=np.int64))
    raw = np.zeros(4 * count + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + 4 * count].view(np.float32).reshape(shape)


_VECTOR = ir.VectorType(ir.FloatType(), WIDTH)
_INDEX = ir.IntType(64)


def _at(builder: ir.IRBuilder, base: ir.Value, offset: ir.Value, more: int = 0) -> ir.Value:
    """Pointer to the vector that begins at float `offset + more`."""
    return builder.bitcast(builder.gep(base, [builder.add(offset, _INDEX(more))]), _VECTOR.as_pointer())


def _read(builder: ir.IRBuilder, base: ir.Value, offset: ir.Value, more: int = 0) -> ir.Value:
    value = builder.load(_at(builder, base, offset, more))
    value.align = 4
    return value


def _write(builder: ir.IRBuilder, value: ir.Value, base: ir.Value, offset: ir.Value, more: int = 0) -> None:
    builder.store(value, _at(builder, base, offset, more)).align = 4


def _data(context, builder, kind, array) -> ir.Value:
    return context.make_array(kind)(context, builder, value=array).data


@intrinsic
def _multiply_add(
    typing_context, sums, sums_at, lines, lines_at, row_step, responses, at, step, outs, inputs, n, n_in, n_parts
):
    """Sum over n inputs and n_parts partitions, compiled for len(outs) outputs and len(sums_at) successive blocks.

    Each block has rows of the lines of its own, beginning at its float in `lines_at`.
    """
    n_outs, n_turns = outs.count, sums_at.count
    places, i64 = types.UniTuple(types.int64, n_turns), types.int64
    signature = types.void(sums, places, lines, places, i64, responses, i64, i64, outs, inputs, i64, i64, i64)

    def codegen(context, builder, signature, args):
        sums_data, lines_data, responses_data, inputs_data = (
            _data(context, builder, signature.args[k], args[k]) for k in (0, 2, 5, 9)
        )
        sum_starts = cgutils.unpack_tuple(builder, args[1], n_turns)
        line_starts = cgutils.unpack_tuple(builder, args[3], n_turns)
        _, _, _, _, row_step, _, at, step, _, _, n, n_in, n_parts = args

        def add_product(total, a, b, negative=False):
            combine = builder.fsub if negative else builder.fadd
            product = builder.fmul(a, b, flags=("fast",))
            builder.store(combine(builder.load(total), product, flags=("fast",)), total)

        totals = {
            (turn, out, half): cgutils.alloca_once(builder, _VECTOR)
            for turn in range(n_turns)
            for out in range(n_outs)
            for half in range(2)
        }
        for (turn, out, half), total in totals.items():
            builder.store(_read(builder, sums_data, sum_starts[turn], (2 * out + half) * WIDTH), total)
        with (
            cgutils.for_range(builder, n_parts, intp=_INDEX) as parts,
            cgutils.for_range(builder, n, intp=_INDEX) as loop,
        ):
            row = builder.load(builder.gep(inputs_data, [loop.index]))
            line = builder.add(builder.mul(parts.index, row_step), builder.mul(row, _INDEX(2 * WIDTH)))
            heard = [
                [_read(builder, lines_data, builder.add(start, line), half * WIDTH) for half in range(2)]
                for start in line_starts
            ]
            entry = builder.add(builder.mul(parts.index, n_in), row)
            response = builder.add(at, builder.mul(entry, step))
            for out in range(n_outs):
                h_re, h_im = (_read(builder, responses_data, response, (2 * out + half) * WIDTH) for half in range(2))
                for turn, (x_re, x_im) in enumerate(heard):
                    re, im = totals[turn, out, 0], totals[turn, out, 1]
                    add_product(re, x_re, h_re)
                    add_product(im, x_re, h_im)
                    add_product(re, x_im, h_im, negative=True)
                    add_product(im, x_im, h_re)
        for (turn, out, half), total in totals.items():
            _write(builder, builder.load(total), sums_data, sum_starts[turn], (2 * out + half) * WIDTH)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _split_complex(typing_context, source, at, target, to):
    """WIDTH complex numbers from float `at` on -> WIDTH real parts and WIDTH imaginary parts from float `to` on."""
    signature = types.void(source, types.int64, target, types.int64)

    def codegen(context, builder, signature, args):
        source_data, target_data = (_data(context, builder, signature.args[k], args[k]) for k in (0, 2))
        first, second = (_read(builder, source_data, args[1], half * WIDTH) for half in range(2))
        for half in range(2):
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [2 * k + half for k in range(WIDTH)])
            _write(builder, builder.shuffle_vector(first, second, lanes), target_data, args[3], half * WIDTH)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _join_complex(typing_context, source, at, target, to):
    """The inverse of `_split_complex`."""
    signature = types.void(source, types.int64, target, types.int64)

    def codegen(context, builder, signature, args):
        source_data, target_data = (_data(context, builder, signature.args[k], args[k]) for k in (0, 2))
        real, imaginary = (_read(builder, source_data, args[1], half * WIDTH) for half in range(2))
        for half in range(2):
            pairs = [lane for k in range(WIDTH // 2) for lane in (k + half * WIDTH // 2, WIDTH + k + half * WIDTH // 2)]
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), pairs)
            _write(builder, builder.shuffle_vector(real, imaginary, lanes), target_data, args[3], half * WIDTH)
        return context.get_dummy_value()

    return signature, codegen


@njit(cache=True, nogil=True)
def _add_partition(sums, now, n_blocks, tile, lines, row, responses, shape, n_rows, part, outs, inputs, n):
    """Add one partition's share of n_blocks successive blocks to one tile; arrays flat, `shape` of the responses.

    `row` meets the partition in the first block, the one before it in the next, and so on.
    """
    tiles, n_parts, n_in, n_out = shape
    step, row_step = n_out * 2 * WIDTH, n_in * 2 * WIDTH
    chunk = n
    if n_blocks > _TURNS:
        n_chunks = -(-n * len(outs) * 2 * WIDTH // _CACHED_FLOATS)
        chunk = -(-n // n_chunks)
    for out in range(0, n_out, len(outs)):
        corner = (tile * n_out + out) * 2 * WIDTH
        at = (tile * n_parts + part) * n_in * step + out * 2 * WIDTH
        for i in range(0, n, chunk):
            some, n_some = inputs[i:], min(chunk, n - i)
            block = 0
            while block < n_blocks:
                sum_at = (now + block) % N_SUMS * tiles * step + corner
                line_at = (tile * n_rows + (row - block) % n_rows) * row_step
                if _TURNS == 2 and block + 1 < n_blocks:
                    next_sum_at = (now + block + 1) % N_SUMS * tiles * step + corner
                    next_line_at = (tile * n_rows + (row - block - 1) % n_rows) * row_step
                    _multiply_add(sums, (sum_at, next_sum_at), lines, (line_at, next_line_at), row_step,
                                  responses, at, step, outs, some, n_some, n_in, 1)  # fmt: skip
                    block += 2
                else:
                    _multiply_add(sums, (sum_at,), lines, (line_at,), row_step,
                                  responses, at, step, outs, some, n_some, n_in, 1)  # fmt: skip
                    block += 1


@njit(cache=True, nogil=True)
def accumulate(
    sums, now, n_blocks, first_tile, last_tile, lines, head, responses, first, last, outs, inputs, n
) -> None:
    """Add to one block's sums, or two, the share of the partitions first..last, of which the first meets row `head`.

    Args:
        sums: as in the module docstring.
        now: index of the first block's sums.
        n_blocks: 1, or 2 where `lines` know what the next block needs.
        first_tile: where to begin.
        last_tile: where to end, not included.
        lines: as in the module docstring.
        head: row of the spectrum that meets partition `first` in the first block.
        responses: as in the module docstring; n_out is a multiple of len(outs).
        first: partition.
        last: partition, not included.
        outs: from `outs_at_once`.
        inputs: int64, rows that are not silent.
        n: how many of them, > 0.
    """
    tiles, n_parts, n_in, n_out = responses.shape[:4]
    n_rows = lines.shape[1]
    flat_sums, flat_lines, flat_responses = sums.reshape(-1), lines.reshape(-1), responses.reshape(-1)
    step, row_step = n_out * 2 * WIDTH, n_in * 2 * WIDTH
    n_sums = sums.shape[0]
    for tile in range(first_tile, last_tile):
        for out in range(0, n_out, len(outs)):
            corner = (tile * n_out + out) * 2 * WIDTH
            sum_at = now * tiles * step + corner
            next_sum_at = (now + 1) % n_sums * tiles * step + corner
            part = first
            while part < last:
                # As far as neither block's rows go round the ring.
                row = (head + part - first) % n_rows
                next_row = (row - 1) % n_rows
                line_at, next_line_at = (tile * n_rows + row) * row_step, (tile * n_rows + next_row) * row_step
                at = (tile * n_parts + part) * n_in * step + out * 2 * WIDTH
                if _TURNS == 2 and n_blocks == 2:
                    n_some = min(last - part, n_rows - max(row, next_row))
                    _multiply_add(flat_sums, (sum_at, next_sum_at), flat_lines, (line_at, next_line_at), row_step,
                                  flat_responses, at, step, outs, inputs, n, n_in, n_some)  # fmt: skip
                else:
                    n_some = min(last - part, n_rows - row)
                    _multiply_add(flat_sums, (sum_at,), flat_lines, (line_at,), row_step,
                                  flat_responses, at, step, outs, inputs, n, n_in, n_some)  # fmt: skip
                part += n_some


@njit(cache=True, nogil=True)
def accumulate_due(sums, turn, first_tile, last_tile, lines, head, responses, skipped, outs, inputs, n) -> None:
    """Add what is due in this turn: one partition of each group, for as many blocks as the group's period.

    Args:
        sums: as in the module docstring; this block's are at turn % N_SUMS.
        turn: counts blocks.
        first_tile: where to begin.
        last_tile: where to end, not included.
        lines: as in the module docstring.
        head: row of the newest known spectrum.
        responses: as in the module docstring.
        skipped: leading partitions that are somebody else's; partition `skipped` meets the newest spectrum.
        outs: from `outs_at_once`.
        inputs: int64, rows that are not silent.
        n: how many of them, > 0.
    """
    shape, n_rows = responses.shape[:4], lines.shape[1]
    if shape[1] <= skipped:
        return
    if responses.size <= _NEAR_FLOATS or shape[2] <= 2:
        if _TURNS == 1:
            accumulate(sums, turn % N_SUMS, 1, first_tile, last_tile, lines, head, responses, skipped, shape[1], outs,
                       inputs, n)  # fmt: skip
            return
        # Half of the others for two blocks, the other half in the next turn.
        middle = (skipped + 1 + shape[1] + 1) // 2
        first, last = (skipped + 1, middle) if turn % 2 == 0 else (middle, shape[1])
        accumulate(sums, turn % N_SUMS, 1, first_tile, last_tile, lines, head, responses, skipped, skipped + 1, outs,
                   inputs, n)  # fmt: skip
        accumulate(sums, turn % N_SUMS, 2, first_tile, last_tile, lines, head + first - skipped, responses, first, last,
                   outs, inputs, n)  # fmt: skip
        return
    flat_sums, flat_lines, flat_responses = sums.reshape(-1), lines.reshape(-1), responses.reshape(-1)
    last = shape[1] - skipped
    for tile in range(first_tile, last_tile):
        group = 1
        while group <= last:
            period = min(group, N_SUMS)
            # q + 1 = group + offset, and the same offset again every `period` blocks.
            for q in range(group - 1 + turn % period, min(2 * group - 1, last), period):
                _add_partition(flat_sums, turn % N_SUMS, period, tile, flat_lines, head + q, flat_responses, shape,
                               n_rows, skipped + q, outs, inputs, n)  # fmt: skip
            group *= 2


@njit(cache=True, nogil=True)
def write_lines(spectra, first, n, inputs, lines, head) -> None:
    """Put spectra at the head of the lines.

    Args:
        spectra: complex64 (n, n_tiles * WIDTH).
        first: where in `inputs` their rows begin.
        n: how many.
        inputs: int64, rows of the lines.
        lines: as in the module docstring.
        head: row.
    """
    flat_lines, flat_spectra = lines.reshape(-1), spectra.view(np.float32).reshape(-1)
    n_rows, n_in, width = lines.shape[1], lines.shape[2], spectra.shape[1]
    for tile in range(lines.shape[0]):
        for k in range(n):
            to = ((tile * n_rows + head) * n_in + inputs[first + k]) * 2 * WIDTH
            _split_complex(flat_spectra, 2 * (k * width + tile * WIDTH), flat_lines, to)


@njit(cache=True, nogil=True)
def write_responses(spectra, n, part, row, responses) -> None:
    """Put the spectra of one input's first n outputs, complex64 (n, n_tiles * WIDTH), into a partition."""
    flat_responses, flat_spectra = responses.reshape(-1), spectra.view(np.float32).reshape(-1)
    tiles, n_parts, n_in, n_out = responses.shape[:4]
    width = spectra.shape[1]
    for tile in range(tiles):
        at = ((tile * n_parts + part) * n_in + row) * n_out * 2 * WIDTH
        for k in range(n):
            _split_complex(flat_spectra, 2 * (k * width + tile * WIDTH), flat_responses, at + k * 2 * WIDTH)


@njit(cache=True, nogil=True)
def read_sums(sums, now, first, n, spectra) -> None:
    """Outputs first..first + n of one block's sums as complex64 (n, n_tiles * WIDTH)."""
    flat_sums, flat_spectra = sums.reshape(-1), spectra.view(np.float32).reshape(-1)
    tiles, n_out, width = sums.shape[1], sums.shape[2], spectra.shape[1]
    for k in range(n):
        for tile in range(tiles):
            at = ((now * tiles + tile) * n_out + first + k) * 2 * WIDTH
            _join_complex(flat_sums, at, flat_spectra, 2 * (k * width + tile * WIDTH))

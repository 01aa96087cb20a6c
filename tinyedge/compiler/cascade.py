"""Layers that run together, a stripe of rows at a time, so that the images between them never exist whole.

Each image within a cascade has a buffer of as many rows as its readers need at a time. No row is computed twice: rows
of a buffer that are still needed move to its begin when the next ones come (`te_cascade.h`). Lin et al., "MCUNetV2:
Memory-Efficient Patch-based Inference" (2021), run patches of an image through its first layers and compute their
borders again; here a patch is as wide as the image and its border is kept.

To the planner a cascade is one call: with inputs, an output that may lie over one of them, and the buffers as scratch.
"""

import functools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tinyedge.compiler.memory.arena import aligned
from tinyedge.ops.kernel_call import KernelCall, Overlap, StripeForm
from tinyedge.ops.window import PIXEL, Window
from tinyedge.tflite.graph import Tensor


@dataclass(frozen=True, eq=False)
class StreamImage:
    """An image that a cascade reads, makes or holds in part.

    Attributes:
        tensor: The whole image, (1, height, width, channels).
        sources: The images that its layer reads, by their indices; none for an image from outside.
        window: From their rows to its own.
    """

    tensor: Tensor
    sources: tuple[int, ...]
    window: Window

    @property
    def height(self) -> int:
        """Rows of the whole image."""
        return self.tensor.shape[1]

    @property
    def row_bytes(self) -> int:
        """Of one row."""
        return self.tensor.bytes // self.height


@dataclass
class Stripe:
    """Rows of an image in one stripe of a cascade.

    Attributes:
        begin: The first row to make.
        end: Up to here rows are made.
        held: The first row in its buffer.
        needed: The first row that this stripe or a later one reads.
    """

    begin: int
    end: int
    held: int
    needed: int = 0

    @property
    def rows(self) -> int:
        """How many to make."""
        return self.end - self.begin


@dataclass(frozen=True, eq=False)
class Cascade:
    """Some consecutive calls, executed a stripe at a time.

    Attributes:
        calls: In execution order, each with the members that it has for whole images.
        forms: How each makes a stripe.
        rows: Of the output in a stripe; the last one may have fewer.
        images: Those from outside, then the output of each call.
        stripes: What becomes of each image in each stripe.
        buffers: By image, where its buffer begins in the scratch; None for one that is whole: those from outside and
            the cascade's output.
        kernel_scratch: Where the working memory of the kernels begins, which they share.
        scratch_bytes: Buffers and working memory.
        overlaps: As those of a call, for `inputs`.
    """

    calls: tuple[KernelCall, ...]
    forms: tuple[StripeForm, ...]
    rows: int
    images: tuple[StreamImage, ...]
    stripes: tuple[tuple[Stripe, ...], ...]
    buffers: tuple[int | None, ...]
    kernel_scratch: int
    scratch_bytes: int
    overlaps: tuple[Overlap, ...]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The images from outside."""
        return tuple(image.tensor for image in self.images[: -len(self.calls)])

    @property
    def output(self) -> Tensor:
        """The only image that is written whole."""
        return self.calls[-1].output

    @property
    def name(self) -> str:
        """The first and the last layer's."""
        return f"{self.calls[0].name} to {self.calls[-1].name}"


Step = KernelCall | Cascade
"""What the planner gives memory to and the emitted C runs after one another."""


def layers_of(steps: Sequence[Step]) -> list[KernelCall]:
    """All calls, in execution order."""
    return [call for step in steps for call in (step.calls if isinstance(step, Cascade) else (step,))]


def make_cascade(calls: Sequence[KernelCall], rows: int) -> Cascade | None:
    """Join consecutive calls to a cascade.

    Args:
        calls: At least two; what all but the last write has to be read by others of them, and by no one else.
        rows: Of the output in a stripe, at least 1.

    Returns:
        The cascade; None if a call cannot make stripes, or a tensor is read in another shape than it was written.
    """
    forms = [form for call in calls if (form := call.stripe_form) is not None]
    images = _images(calls, forms) if len(forms) == len(calls) else None
    if images is None:
        return None
    outside = len(images) - len(calls)
    flow = _flow(tuple(_Image(image.sources, image.window, image.height) for image in images), rows)
    fitted = [_fit(call, own) for call, own in zip(calls, flow.heights[outside:], strict=True)]
    row_bytes = [image.row_bytes for image in images]
    buffers: list[int | None] = [None] * len(images)
    end = 0
    for index in range(outside, len(images) - 1):
        buffers[index] = end
        end += aligned(row_bytes[index] * flow.held_rows[index])
    leads = [_lead(ahead, row_bytes[-1], read) for ahead, read in zip(flow.ahead, row_bytes, strict=False)]
    return Cascade(
        calls=tuple(fitted),
        forms=tuple(forms),
        rows=rows,
        images=tuple(images),
        stripes=flow.stripes,
        buffers=tuple(buffers),
        kernel_scratch=end,
        scratch_bytes=end + max(call.scratch_bytes for call in fitted),
        overlaps=tuple(_overlaps(calls[-1], images, leads)),
    )


def _fit(call: KernelCall, heights: Collection[int]) -> KernelCall:
    """Give a call the scratch that it needs where it makes so many output rows at a time."""
    return call if call.kernel.fit is None else call.kernel.fit(call, heights)


def _images(calls: Sequence[KernelCall], forms: Sequence[StripeForm]) -> list[StreamImage] | None:
    """The images from outside, then those that the calls make."""
    made = {call.output.storage for call in calls}
    outside = dict.fromkeys(tensor for call in calls for tensor in call.inputs if tensor.storage not in made)
    index_of = {tensor.storage: index for index, tensor in enumerate(outside)}
    if len(index_of) < len(outside):
        return None  # Two views of one tensor.
    images = [StreamImage(tensor, (), PIXEL) for tensor in outside]
    for call, form in zip(calls, forms, strict=True):
        sources = tuple(index_of[tensor.storage] for tensor in call.inputs)
        if any(images[index].tensor.shape != t.shape for index, t in zip(sources, call.inputs, strict=True)):
            return None
        index_of[call.output.storage] = len(images)
        images.append(StreamImage(call.output, sources, form.window))
    return images


@dataclass(frozen=True)
class _Image:
    """What of a `StreamImage` decides how it is cut into stripes.

    Attributes:
        sources: As those of the image.
        window: Over its sources.
        height: In rows.
    """

    sources: tuple[int, ...]
    window: Window
    height: int


@dataclass(frozen=True)
class _Flow:
    """What becomes of images in stripes of so many rows, whatever kernels make them and however wide they are.

    Attributes:
        stripes: As those of a cascade.
        heights: Of each image, how many rows a stripe may make.
        held_rows: Of each image, how many rows its buffer holds at most.
        ahead: For each image from outside, stripe by stripe, the row up to which the output is written then, and the
            first row that is read later.
    """

    stripes: tuple[tuple[Stripe, ...], ...]
    heights: tuple[frozenset[int], ...]
    held_rows: tuple[int, ...]
    ahead: tuple[tuple[tuple[int, int], ...], ...]


# Kernels of all instruction sets have the same windows, and layers of many widths do.
@functools.lru_cache(maxsize=1024)
def _flow(images: tuple[_Image, ...], rows: int) -> _Flow:
    stripes = _stripes(images, rows)
    by_image = list(zip(*stripes, strict=True))
    return _Flow(
        stripes,
        heights=tuple(frozenset(stripe.rows for stripe in own) for own in by_image),
        held_rows=tuple(max(stripe.end - stripe.held for stripe in own) for own in by_image),
        ahead=tuple(tuple(_ahead(images, stripes, index)) for index, image in enumerate(images) if not image.sources),
    )


def _stripes(images: tuple[_Image, ...], rows: int) -> tuple[tuple[Stripe, ...], ...]:
    """What te_cascade_advance() does, stripe by stripe."""
    made = []
    now = [Stripe(0, 0 if image.sources else image.height, 0) for image in images]
    for until in range(rows, images[-1].height + rows, rows):
        now = [Stripe(stripe.end, stripe.end, stripe.held, needed=stripe.end) for stripe in now]
        now[-1].end = min(until, images[-1].height)
        for image, stripe in zip(reversed(images), reversed(now), strict=True):
            for source in image.sources:
                if stripe.rows:
                    under = image.window.under(stripe.begin, stripe.end, images[source].height)
                    now[source].end = max(now[source].end, under.stop)
                now[source].needed = min(now[source].needed, image.window.first_under(stripe.begin))
        for image, stripe in zip(images[:-1], now, strict=False):
            if image.sources:
                stripe.held = max(stripe.held, stripe.needed)
        made.append(tuple(now))
    return tuple(made)


def _ahead(images: tuple[_Image, ...], stripes: Sequence[Sequence[Stripe]], index: int) -> Iterator[tuple[int, int]]:
    readers = [(at, image) for at, image in enumerate(images[:-1]) if index in image.sources]
    for stripe in stripes:
        # What the next stripes read: a layer that is done reads no more.
        later = [i.window.first_under(stripe[at].end) for at, i in readers if stripe[at].end < i.height]
        if later:
            yield stripe[-1].end, min(later)


def _lead(ahead: Sequence[tuple[int, int]], written_bytes: int, read_bytes: int) -> int:
    """How many bytes the writing of the output is ahead of the reading of an image at most, by the bytes of a row."""
    return max([0, *(written * written_bytes - read * read_bytes for written, read in ahead)])


def _overlaps(last: KernelCall, images: Sequence[StreamImage], leads: Sequence[int]) -> Iterator[Overlap]:
    """How the output may lie over the images from outside.

    The rows of a stripe are read before the last layer writes, but for those that this layer reads itself from outside:
    there the output may begin exactly where the image does, if the kernel allows it.
    """
    output = images[-1]
    for index, (image, lead) in enumerate(zip(images, leads, strict=False)):
        if index not in output.sources:
            yield Overlap(index, min(lead, output.tensor.bytes))
        elif lead == 0 and _may_run_in_place(last, image.tensor):
            yield Overlap(index, None)


def _may_run_in_place(call: KernelCall, tensor: Tensor) -> bool:
    in_place = {overlap.input for overlap in call.overlaps if overlap.write_ahead_bytes is None}
    return all(at in in_place for at, other in enumerate(call.inputs) if other.storage is tensor.storage)

"""Layers that run together, a strip of rows at a time, so that the images between them never exist whole.

Each image within a stream has a buffer of as many rows as its readers need at a time. No row is computed twice: rows of
a buffer that are still needed move to its begin when the next ones come (`te_stream.h`). Lin et al., "MCUNetV2:
Memory-Efficient Patch-based Inference" (2021), run patches of an image through its first layers and compute their
borders again; here a patch is as wide as the image and its border is kept.

To the planner a stream is one call: with inputs, an output that may lie over one of them, and the buffers as scratch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinyedge.compiler.arena import aligned
from tinyedge.compiler.graph import Tensor
from tinyedge.compiler.instruction_sets import fit_to_strips
from tinyedge.compiler.kernel_call import KernelCall, Overlap
from tinyedge.compiler.lowering.window import PIXEL, Window
from tinyedge.compiler.strip_form import StripForm, strip_form


@dataclass(frozen=True, eq=False)
class StreamImage:
    """An image that a stream reads, makes or holds in part.

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

    @property
    def reach(self) -> int:
        """Rows of the sources from the first under a row to the last."""
        return (self.window.taps - 1) * self.window.dilation + 1

    def rows_under(self, begin: int, end: int, height: int) -> range:
        """Rows of a source of some height under the rows from `begin` to `end`, of which there is at least one."""
        origin = begin * self.window.stride - self.window.pad_before
        last = (end - 1) * self.window.stride - self.window.pad_before + self.reach
        return range(max(origin, 0), min(last, height))

    def first_under(self, row: int) -> int:
        """The first row of a source that a row or a later one needs."""
        return max(row * self.window.stride - self.window.pad_before, 0)


@dataclass
class Strip:
    """Rows of an image in one strip of a stream.

    Attributes:
        begin: The first row to make.
        end: Up to here rows are made.
        held: The first row in its buffer.
        needed: The first row that this strip or a later one reads.
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
class Stream:
    """Some consecutive calls, executed a strip at a time.

    Attributes:
        calls: In execution order, each with the members that it has for whole images.
        forms: How each makes a strip.
        rows: Of the output in a strip; the last one may have fewer.
        images: Those from outside, then the output of each call.
        strips: What becomes of each image in each strip.
        buffers: By image, where its buffer begins in the scratch; None for one that is whole: those from outside and
            the stream's output.
        kernel_scratch: Where the working memory of the kernels begins, which they share.
        scratch_bytes: Buffers and working memory.
        overlaps: As those of a call, for `inputs`.
    """

    calls: tuple[KernelCall, ...]
    forms: tuple[StripForm, ...]
    rows: int
    images: tuple[StreamImage, ...]
    strips: tuple[tuple[Strip, ...], ...]
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


Step = KernelCall | Stream
"""What the planner gives memory to and `model.c` runs after one another."""


def layers_of(steps: Sequence[Step]) -> list[KernelCall]:
    """All calls, in execution order."""
    return [call for step in steps for call in (step.calls if isinstance(step, Stream) else (step,))]


def make_stream(calls: Sequence[KernelCall], rows: int) -> Stream | None:
    """Join consecutive calls to a stream.

    Args:
        calls: At least two; what all but the last write has to be read by others of them, and by no one else.
        rows: Of the output in a strip, at least 1.

    Returns:
        The stream; None if a call cannot make strips, or a tensor is read in another shape than it was written.
    """
    forms = [form for call in calls if (form := strip_form(call)) is not None]
    images = _images(calls, forms) if len(forms) == len(calls) else None
    if images is None:
        return None
    outside = len(images) - len(calls)
    strips = [tuple(strip) for strip in _strips(images, rows)]
    heights = [{strip[index].rows for strip in strips} for index in range(len(images))]
    fitted = [fit_to_strips(call, own) for call, own in zip(calls, heights[outside:], strict=True)]
    buffers: list[int | None] = [None] * len(images)
    end = 0
    for index in range(outside, len(images) - 1):
        buffers[index] = end
        end += aligned(images[index].row_bytes * max(strip[index].end - strip[index].held for strip in strips))
    return Stream(
        calls=tuple(fitted),
        forms=tuple(forms),
        rows=rows,
        images=tuple(images),
        strips=tuple(strips),
        buffers=tuple(buffers),
        kernel_scratch=end,
        scratch_bytes=end + max(call.scratch_bytes for call in fitted),
        overlaps=tuple(_overlaps(calls[-1], images, outside, strips)),
    )


def _images(calls: Sequence[KernelCall], forms: Sequence[StripForm]) -> list[StreamImage] | None:
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


def _strips(images: Sequence[StreamImage], rows: int) -> Iterator[list[Strip]]:
    """What te_stream_advance() does, strip by strip."""
    now = [Strip(0, 0 if image.sources else image.height, 0) for image in images]
    for until in range(rows, images[-1].height + rows, rows):
        now = [Strip(strip.end, strip.end, strip.held, needed=strip.end) for strip in now]
        now[-1].end = min(until, images[-1].height)
        for image, strip in zip(reversed(images), reversed(now), strict=True):
            for source in image.sources:
                if strip.rows:
                    under = image.rows_under(strip.begin, strip.end, images[source].height)
                    now[source].end = max(now[source].end, under.stop)
                now[source].needed = min(now[source].needed, image.first_under(strip.begin))
        for image, strip in zip(images, now, strict=True):
            if image.sources and image is not images[-1]:
                strip.held = max(strip.held, strip.needed)
        yield now


def _overlaps(
    last: KernelCall, images: Sequence[StreamImage], outside: int, strips: Sequence[Sequence[Strip]]
) -> Iterator[Overlap]:
    """How the output may lie over the images from outside.

    The rows of a strip are read before the last layer writes, but for those that this layer reads itself from outside:
    there the output may begin exactly where the image does, if the kernel allows it.
    """
    output = images[-1]
    for index, image in enumerate(images[:outside]):
        readers = [at for at, other in enumerate(images[:-1]) if index in other.sources]
        leads = [0]
        for strip in strips:
            # What the next strips read: a layer that is done reads no more.
            later = [images[at].first_under(strip[at].end) for at in readers if strip[at].end < images[at].height]
            if later:
                leads.append(strip[-1].end * output.row_bytes - min(later) * image.row_bytes)
        if index not in output.sources:
            yield Overlap(index, min(max(leads), output.tensor.bytes))
        elif max(leads) == 0 and _may_run_in_place(last, image.tensor):
            yield Overlap(index, None)


def _may_run_in_place(call: KernelCall, tensor: Tensor) -> bool:
    in_place = {overlap.input for overlap in call.overlaps if overlap.lead_bytes is None}
    return all(at in in_place for at, other in enumerate(call.inputs) if other.storage is tensor.storage)

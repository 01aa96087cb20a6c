import numpy as np
import pytest
import torch

from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import ConfigError
from tinyedge.ssl import cell_codes
from tinyedge.ssl.base import Batch
from tinyedge.ssl.cell_codes import CellCodes
from tinyedge.ssl.registry import create_method


def learned(
    size: int, grid: int, channels: int, atoms: int, coordinates: int
) -> tuple[CellCodes, torch.Tensor, torch.Tensor]:
    """Codes of images of noise that is smooth, and the images: as uint8 and normalised."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(60, channels, size // 2, size // 2, generator=generator)
    images = (255 * torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")).to(torch.uint8)
    codes = CellCodes(size, grid, channels, atoms, coordinates)
    codes.learn(images, (0.5,) * channels, (0.25,) * channels)
    return codes, images, (images.float() / 255 - 0.5) / 0.25


def reference_responses(codes: CellCodes, image: np.ndarray, grid: int, stride: int) -> np.ndarray:
    """Responses (grid * grid, K) to an image (C, H, W), a patch at a time."""
    padded = np.pad(image, ((0, 0), (2, 3), (2, 3)), mode="reflect")
    whiten = codes.patches.whitening.weight.numpy().reshape(len(codes.patches.whitening.weight), -1)
    shift = codes.patches.whitening.bias.numpy()
    atoms, bias = codes.patches.dictionary.weight.numpy(), codes.patches.dictionary.bias.numpy()
    cell = image.shape[1] // grid
    cells = np.zeros((grid, grid, len(atoms)))
    for y in range(grid):
        for x in range(grid):
            found = []
            for top in range(y * cell, (y + 1) * cell, stride):
                for left in range(x * cell, (x + 1) * cell, stride):
                    white = whiten @ padded[:, top : top + 6, left : left + 6].reshape(-1) + shift
                    found.append(np.maximum(atoms @ (white / np.linalg.norm(white)) + bias, 0))
            cells[y, x] = np.mean(found, axis=0)
    if grid < 4:
        return cells.reshape(grid * grid, -1)
    around = [
        cells[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].mean(axis=(0, 1)) for y in range(grid) for x in range(grid)
    ]
    return np.array(around)


@pytest.mark.parametrize(
    ("size", "grid", "channels", "stride"), [(16, 4, 3, 2), (15, 5, 1, 1), (16, 8, 3, 1), (24, 3, 1, 4)]
)
def test_codes_are_responses_around_each_cell_along_their_axes(
    size: int, grid: int, channels: int, stride: int
) -> None:
    codes, _, images = learned(size, grid, channels, atoms=20, coordinates=7)
    found = codes(images[:3])
    assert found.shape == (3, grid * grid, 7)
    for image, code in zip(images[:3], found, strict=True):
        responses = reference_responses(codes, image.numpy(), grid, stride)
        expected = (responses - codes.centre.numpy()) @ codes.axes.numpy()
        np.testing.assert_allclose(code.numpy(), expected, atol=2e-3)


def test_over_the_images_that_they_were_learned_from_codes_are_white() -> None:
    codes, _, images = learned(16, 4, 3, atoms=20, coordinates=7)
    flat = codes(images).flatten(0, 1).double()
    torch.testing.assert_close(flat.mean(0), torch.zeros(7).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(flat.T @ flat / len(flat), torch.eye(7).double(), atol=5e-3, rtol=0)


def test_the_axes_are_those_of_all_responses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _, images = learned(16, 4, 3, atoms=20, coordinates=7)
    monkeypatch.setattr(cell_codes, "_LEARNED_AT_ONCE", 7)
    parts, _, _ = learned(16, 4, 3, atoms=20, coordinates=7)
    torch.testing.assert_close(parts(images), whole(images), atol=1e-4, rtol=0)
    responses = whole._responses(images).flatten(0, 1).double().numpy()
    spectrum = np.linalg.eigvalsh(np.corrcoef(responses.T))[::-1]
    scaled = (whole.axes.double() * torch.from_numpy(responses.std(0))[:, None]).numpy()
    np.testing.assert_allclose(1 / np.square(scaled).sum(0), spectrum[:7], rtol=1e-3)


def test_cells_of_a_coarse_grid_differ() -> None:
    codes, _, images = learned(8, 2, 3, atoms=16, coordinates=8)
    found = codes(images)
    assert float((found - found[:, :1]).abs().amax(dim=(0, 2))[1:].min()) > 0.1


def test_images_of_one_colour_have_codes_of_zeros() -> None:
    codes = CellCodes(16, 4, 3, atoms=8, coordinates=8)
    images = torch.full((5, 3, 16, 16), 90, dtype=torch.uint8)
    codes.learn(images, (0.5,) * 3, (0.25,) * 3)
    assert torch.isfinite(codes.axes).all()
    torch.testing.assert_close(codes(torch.full((1, 3, 16, 16), -0.5)), torch.zeros(1, 16, 8), atol=1e-3, rtol=0)


def test_masked_tokens_restore_codes_and_the_dictionary_is_not_trained() -> None:
    torch.manual_seed(0)
    encoder = create_encoder("tinynext_t", input_size=32, strides=(2, 1, 2, 2, 1))
    method = create_method("s0", encoder, {"reconstruct": "codes", "code_atoms": 16, "code_coordinates": 5})
    images = (255 * torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))).to(torch.uint8)
    method.prepare(images, (0.5,) * 3, (0.25,) * 3)
    assert method.reconstruct[-1].out_features == 5
    before = method.codes.axes.clone()
    method.prepare(images.flip(0).bitwise_not(), (0.5,) * 3, (0.25,) * 3)  # as after a checkpoint was loaded
    assert torch.equal(method.codes.axes, before)
    views = (images.float() / 255 - 0.5) / 0.25
    result = method(Batch((views,), torch.arange(8), None), torch.Generator().manual_seed(0), 0.5)
    result.loss.backward()
    assert 0.5 < float(result.metrics["loss_reconstruction"]) < 2.5
    assert all(parameter.grad is None for parameter in method.codes.parameters())
    trained = [name for name, parameter in method.named_parameters() if parameter.requires_grad]
    assert not any(name.startswith("codes") for name in trained)


def test_more_coordinates_than_atoms_are_refused() -> None:
    encoder = create_encoder("tinynext_t", input_size=32, strides=(2, 1, 2, 2, 1))
    with pytest.raises(ConfigError, match="code_coordinates 9 is above code_atoms 8"):
        create_method("s0", encoder, {"reconstruct": "codes", "code_atoms": 8, "code_coordinates": 9})

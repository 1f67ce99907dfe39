"""Pixels out of files: every format, each rule for the shape, and what is no image."""

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfft.backbones.image.tiny_image import tiny_image
from tfft.data.encoded_split import encode
from tfft.data.encoded_towers import pack, unpack
from tfft.errors import ConfigError, DataError
from tfft.preprocessing.image.image_preprocessor import ImagePreprocessor, thumbnail
from tfft.preprocessing.media_files import content, data_uri, name_of

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 8, 3)).astype(np.uint8)


def saved(pixels, kind, **settings):
    """Returns an image file made by another library."""
    room = io.BytesIO()
    PIL.Image.fromarray(pixels).save(room, kind, **settings)
    return room.getvalue()


def read(*files, size=(6, 8), fit="crop"):
    return ImagePreprocessor(*size, fit)(tf.constant(list(files)))["pixels"].numpy()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_formats_without_loss_give_the_very_pixels(kind):
    [found] = read(saved(PIXELS, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, PIXELS)


def test_grey_is_rgb_and_transparency_is_dropped():
    grey = PIXELS[..., 0]
    for kind in ("PNG", "BMP", "JPEG"):
        [found] = read(saved(grey, kind))
        assert found.shape == (6, 8, 3) and (np.ptp(found, axis=-1) == 0).all()
        if kind != "JPEG":
            np.testing.assert_array_equal(found[..., 0], grey)
    alpha = np.concatenate([PIXELS, np.full((6, 8, 1), 9, np.uint8)], -1)
    for kind in ("PNG", "BMP"):
        np.testing.assert_array_equal(read(saved(alpha, kind))[0], PIXELS)


def test_of_an_animation_the_first_frame_is_read():
    frames = [PIL.Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    room = io.BytesIO()
    frames[0].save(room, "GIF", save_all=True, append_images=frames[1:])
    assert (read(room.getvalue())[0] == [255, 0, 0]).all()


def test_what_happens_to_another_shape():
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = 200  # the middle square
    file = saved(wide, "PNG")
    assert (read(file, size=(4, 4))[0] == 200).all()
    padded = read(file, size=(12, 12), fit="pad")[0]
    assert (padded[:4] == 0).all() and (padded[8:] == 0).all()
    np.testing.assert_array_equal(padded[4:8], wide)
    stretched = read(file, size=(4, 3), fit="stretch")[0]
    assert (stretched[:, 1] > 100).all() and (stretched[:, 0] < 100).all()
    tall = read(saved(wide.transpose(1, 0, 2), "PNG"), size=(4, 4))[0]
    assert (tall == 200).all()
    with pytest.raises(ConfigError, match="Received: fit='cut'"):
        tiny_image(fit="cut")


def test_smaller_pictures_are_means_rather_than_samples():
    checks = (np.indices((16, 16)).sum(0) % 2 * 255).astype(np.uint8)
    [found] = read(saved(checks, "PNG"), size=(4, 4))
    assert abs(found[1:3, 1:3].astype(int) - 128).max() < 12


def test_files_and_data_uris_are_encoded_and_kept(tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(saved(PIXELS, "PNG"))
    values = [str(path), data_uri(path.read_bytes(), "png", "a name; 2")]
    assert [name_of(value) for value in values] == [str(path), "a name; 2"]
    assert content(values[0]) == content(values[1])
    own = ImagePreprocessor(6, 8)
    found = encode([([value],) for value in values], own)
    assert (found.name, found.padded, found.size) == ("pixels", False, 2)
    assert found.kept.tolist() == found.full_lengths.tolist() == [1, 1]
    np.testing.assert_array_equal(found.tokens.first(np.array([0, 1])), [PIXELS, PIXELS])
    again = unpack(pack(found), own)
    np.testing.assert_array_equal(again.tokens.values, found.tokens.values)
    assert (again.name, again.padded) == ("pixels", False)


def test_what_is_no_image_is_named(tmp_path):
    own = ImagePreprocessor(6, 8)
    whole = saved(PIXELS, "PNG")
    files = {"good.png": whole, "torn.png": whole[:60], "text.jpg": b"a film", "empty.png": b""}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    good = str(tmp_path / "good.png")
    for name in ("torn.png", "text.jpg", "empty.png"):
        bad = str(tmp_path / name)
        with pytest.raises(DataError, match="is no image that can be read") as caught:
            encode([([good, good],), ([good, bad],)], own)
        assert caught.value.problem.startswith(f"example 4: {bad}")
        assert caught.value.set_in == bad
    with pytest.raises(DataError, match="example 1: .*none.png cannot be read: No such file"):
        encode([([str(tmp_path / "none.png")],)], own)
    with pytest.raises(DataError, match="a file in place cannot be read: it is not in base64"):
        content("data:image/png,abc")


def test_settings_that_change_pixels_change_the_fingerprint():
    prints = {
        ImagePreprocessor(*size, fit).fingerprint()
        for size in ((6, 8), (8, 6))
        for fit in ("crop", "pad")
    }
    assert len(prints) == 4


def test_a_thumbnail_is_small():
    picture = thumbnail(RNG.integers(0, 256, (300, 150, 3)).astype(np.uint8))
    assert picture.startswith("data:image/jpeg;base64,")
    assert PIL.Image.open(io.BytesIO(content(picture))).size == (32, 64)

"use strict";

/* From the pixels of a picture to the model's, as tinyedge/data/decode.py has them: resized to cover the input by the
 * bicubic resampling of Pillow (src/libImaging/Resample.c: fixed-point weights, rounded to 8 bits after the horizontal
 * and after the vertical pass), cropped at the centre. Bit for bit the same, for the same pixels. */

const WEIGHT_BITS = 22;
const MOST_PIXELS = 128_000_000;

function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

function roundHalfEven(x) {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

/** The weights of `count` outputs from number `first` on, of a line of `from` pixels resized to `to`. */
function lineWeights(from, to, first, count) {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = 2 * stretch;
  const most = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(count);
  const lengths = new Int32Array(count);
  const weights = new Int32Array(count * most);
  for (let at = 0; at < count; ++at) {
    const centre = (first + at + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const length = Math.min(Math.trunc(centre + support + 0.5), from) - start;
    const reals = Array.from({ length }, (_, x) => bicubic((x + start - centre + 0.5) * (1 / stretch)));
    let total = 0;
    for (const real of reals) total += real;
    reals.forEach((real, x) => {
      const weight = (total === 0 ? real : real / total) * (1 << WEIGHT_BITS);
      weights[at * most + x] = Math.trunc(weight + (weight < 0 ? -0.5 : 0.5));
    });
    starts[at] = start;
    lengths[at] = length;
  }
  return { starts, lengths, weights, most };
}

function toByte(sum) {
  const value = sum >> WEIGHT_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** The size to which a picture is resized before it is cropped, and the corner of the crop. */
function coverOf(width, height, toWidth, toHeight) {
  if (width === toWidth && height === toHeight) return { width, height, left: 0, top: 0 };
  const scale = Math.max(toWidth / width, toHeight / height);
  const covered = {
    width: Math.max(toWidth, roundHalfEven(width * scale)),
    height: Math.max(toHeight, roundHalfEven(height * scale)),
  };
  covered.left = Math.floor((covered.width - toWidth) / 2);
  covered.top = Math.floor((covered.height - toHeight) / 2);
  return covered;
}

/** Whether a picture of this size would take too many pixels on its way. */
function isTooLarge(width, height, toWidth, toHeight) {
  const scale = Math.max(toWidth / width, toHeight / height, 1);
  return width * height * scale * scale > MOST_PIXELS;
}

/** RGBA pixels (height, width, 4) as RGB (toHeight, toWidth, 3); alpha is not looked at. */
function coverCentre(pixels, width, height, toWidth, toHeight) {
  const cover = coverOf(width, height, toWidth, toHeight);
  const rows = lineWeights(height, cover.height, cover.top, toHeight);
  const isTall = height !== cover.height;
  const firstRow = isTall ? rows.starts[0] : cover.top;
  const endRow = isTall ? rows.starts[toHeight - 1] + rows.lengths[toHeight - 1] : cover.top + toHeight;
  const line = toWidth * 3;
  const narrow = new Uint8Array((endRow - firstRow) * line);
  const half = 1 << (WEIGHT_BITS - 1);
  if (width === cover.width) {
    for (let y = firstRow, to = 0; y < endRow; ++y) {
      for (let x = 0, from = (y * width + cover.left) * 4; x < toWidth; ++x, from += 4) {
        for (let c = 0; c < 3; ++c) narrow[to++] = pixels[from + c];
      }
    }
  } else {
    const columns = lineWeights(width, cover.width, cover.left, toWidth);
    for (let y = firstRow, to = 0; y < endRow; ++y) {
      for (let x = 0; x < toWidth; ++x) {
        let red = half, green = half, blue = half;
        let from = (y * width + columns.starts[x]) * 4;
        const first = x * columns.most, end = first + columns.lengths[x];
        for (let k = first; k < end; ++k, from += 4) {
          const weight = columns.weights[k];
          red += pixels[from] * weight;
          green += pixels[from + 1] * weight;
          blue += pixels[from + 2] * weight;
        }
        narrow[to++] = toByte(red);
        narrow[to++] = toByte(green);
        narrow[to++] = toByte(blue);
      }
    }
  }
  if (!isTall) return narrow;
  const result = new Uint8Array(toHeight * line);
  for (let y = 0, to = 0; y < toHeight; ++y) {
    const first = y * rows.most, length = rows.lengths[y], start = (rows.starts[y] - firstRow) * line;
    for (let x = 0; x < line; ++x) {
      let sum = half;
      for (let k = 0, from = start + x; k < length; ++k, from += line) sum += narrow[from] * rows.weights[first + k];
      result[to++] = toByte(sum);
    }
  }
  return result;
}

/** RGB pixels as luma (ITU-R BT.601) in steps of 2^-16, a byte a pixel: what `tinyedge.data.decode.grey` makes. */
function greyOf(rgb) {
  const luma = new Uint8Array(rgb.length / 3);
  for (let at = 0, from = 0; at < luma.length; ++at, from += 3) {
    luma[at] = (rgb[from] * 19595 + rgb[from + 1] * 38470 + rgb[from + 2] * 7471 + (1 << 15)) >> 16;
  }
  return luma;
}

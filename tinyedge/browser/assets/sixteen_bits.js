/* Greyscale PNG files of 16 bits, of which a browser shows the upper eight: as tinyedge/data/decode.py has them, white
 * and what is above becomes 255. */

const PNG_SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const WHITE_BITS = [8, 10, 12, 14, 16];

/** The picture of such a file; null for any other, and for an interlaced one.
 *  `white` is null where nothing tells it: then it is the least of these bits that no pixel is above. */
async function sixteenBitPicture(file, white) {
  const head = new DataView(await file.slice(0, 29).arrayBuffer());
  if (head.byteLength < 29 || PNG_SIGNATURE.some((byte, at) => head.getUint8(at) !== byte)) return null;
  const [width, height] = [head.getUint32(16), head.getUint32(20)];
  const [depth, colour, interlace] = [24, 25, 28].map((at) => head.getUint8(at));
  if (depth !== 16 || colour !== 0 || interlace !== 0 || width * height > MOST_PIXELS) return null;
  const values = unfiltered(await imageData(file), width, height);
  const level = white ?? whiteOf(values);
  const pixels = new ImageData(width, height);
  values.forEach((value, at) => {
    const eight = Math.min(Math.floor((510 * value + level) / (2 * level)), 255);
    pixels.data.set([eight, eight, eight, 255], 4 * at);
  });
  return createImageBitmap(pixels, { colorSpaceConversion: "none" });
}

/** The filtered lines of a PNG file, all its parts together and decompressed. */
async function imageData(file) {
  const bytes = new DataView(await file.arrayBuffer());
  const parts = [];
  for (let at = 8; at + 12 <= bytes.byteLength; ) {
    const length = bytes.getUint32(at);
    if (bytes.getUint32(at + 4) === 0x49444154 /* IDAT */) parts.push(new Uint8Array(bytes.buffer, at + 8, length));
    at += 12 + length;
  }
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function unfiltered(lines, width, height) {
  const row = 2 * width;
  if (lines.length < height * (row + 1)) throw new RangeError("too few lines");
  const values = new Uint16Array(width * height);
  let above = new Uint8Array(row);
  for (let y = 0; y < height; ++y) {
    const filter = lines[y * (row + 1)];
    const line = lines.slice(y * (row + 1) + 1, (y + 1) * (row + 1));
    for (let x = 0; x < row; ++x) {
      const [left, corner] = x < 2 ? [0, 0] : [line[x - 2], above[x - 2]];
      line[x] += [0, left, above[x], (left + above[x]) >> 1, paeth(left, above[x], corner)][filter];
    }
    for (let x = 0; x < width; ++x) values[y * width + x] = (line[2 * x] << 8) | line[2 * x + 1];
    above = line;
  }
  return values;
}

function paeth(left, above, corner) {
  const [a, b, c] = [above - corner, left - corner, left + above - 2 * corner].map(Math.abs);
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}

function whiteOf(values) {
  const most = values.reduce((one, other) => Math.max(one, other), 0);
  return 2 ** WHITE_BITS.find((bits) => most < 2 ** bits) - 1;
}

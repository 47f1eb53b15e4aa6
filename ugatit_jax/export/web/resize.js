// Pillow's antialiased resize of 8-bit images (its Resample.c), to the same bits: weights in 22-bit fixed point, columns first.
// The translation sees what training saw, whatever the browser's own resizing does.

const BITS = 22; // Pillow's PRECISION_BITS
export const BILINEAR = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };
export const BICUBIC = { support: 2, weight: cubic };

function cubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// For each of `size` outputs from `length` inputs, of which [low, high) is taken: the first input, and the weights from there.
export function coefficients(length, low, high, size, filter) {
  const scale = (high - low) / size, filterScale = Math.max(scale, 1), support = filter.support * filterScale, found = [];
  for (let i = 0; i < size; i++) {
    const centre = low + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(length, Math.trunc(centre + support + 0.5));
    const weights = new Float64Array(end - first);
    let sum = 0;
    for (let k = 0; k < weights.length; k++) sum += weights[k] = filter.weight((k + first - centre + 0.5) / filterScale);
    const fixed = Int32Array.from(weights, (w) => {
      const value = (sum ? w / sum : w) * (1 << BITS);
      return Math.trunc(value < 0 ? value - 0.5 : value + 0.5);
    });
    found.push({ first, fixed });
  }
  return found;
}

function clip(sum) {
  const value = sum >> BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

// Rows of `width` pixels with `channels` values each -> rows of columns.length pixels, into `out` from row `top` on.
export function resizeColumns(pixels, width, channels, columns, out, top) {
  const rows = pixels.length / (width * channels);
  for (let y = 0; y < rows; y++) {
    let to = (top + y) * columns.length * channels;
    for (const { first, fixed } of columns) {
      const from = (y * width + first) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = 1 << (BITS - 1);
        for (let k = 0, at = from + c; k < fixed.length; k++, at += channels) sum += pixels[at] * fixed[k];
        out[to++] = clip(sum);
      }
    }
  }
}

// [*, width, channels] -> [rows.length, width, channels].
export function resizeRows(pixels, width, channels, rows) {
  const line = width * channels, out = new Uint8ClampedArray(rows.length * line), sums = new Float64Array(line);
  rows.forEach(({ first, fixed }, y) => {
    sums.fill(1 << (BITS - 1));
    for (let k = 0; k < fixed.length; k++) {
      const weight = fixed[k], from = (first + k) * line;
      for (let x = 0; x < line; x++) sums[x] += pixels[from + x] * weight;
    }
    for (let x = 0; x < line; x++) out[y * line + x] = clip(sums[x]);
  });
  return out;
}

// [height, width, channels] -> [toHeight, toWidth, channels].
export function resize(pixels, width, height, channels, toWidth, toHeight, filter) {
  if (toWidth !== width) {
    const out = new Uint8ClampedArray(toWidth * height * channels);
    resizeColumns(pixels, width, channels, coefficients(width, 0, width, toWidth, filter), out, 0);
    pixels = out;
  }
  return toHeight === height ? pixels : resizeRows(pixels, toWidth, channels, coefficients(height, 0, height, toHeight, filter));
}

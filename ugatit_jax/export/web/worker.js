// Decodes, resizes and translates images, beside the page, which stays responsive. What it computes is what
// ugatit_jax.translate does with --size=train, with a number, or with --size=original.

import { BICUBIC, BILINEAR, coefficients, resize, resizeColumns, resizeRows } from './resize.js';

const MAX_PIXELS = 100e6; // of an image: 400 MB once decoded
const MAX_RESULT = 2048; // longest side of a result: a phone has to hold and to save it
const MAX_ORIGINAL = 512; // longest side of what the model sees of an image at its own size: at ch 64 a map takes 67 MB there
const STRIP = 256; // rows that are read from the image at once
const RUNTIMES = {
  webgpu: { script: 'ort.webgpu.bundle.min.mjs', binary: 'ort-wasm-simd-threaded.asyncify.wasm.gz' },
  wasm: { script: 'ort.wasm.bundle.min.mjs', binary: 'ort-wasm-simd-threaded.wasm.gz' },
};

class Unusable extends Error {} // an image that cannot be translated; the message is for people

let model, runtime, sessions = {};

const say = (text) => postMessage({ status: text });
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

async function download(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name} cannot be loaded: ${answer.status}`);
  return answer.arrayBuffer();
}

// Compressed on the server, whatever that can do; some decompress it on the way.
async function downloadCompressed(name) {
  const content = await download(name), head = new Uint8Array(content, 0, 2);
  if (head[0] !== 0x1f || head[1] !== 0x8b) return content;
  return new Response(new Blob([content]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
}

async function hasGpu() {
  try {
    return Boolean(navigator.gpu && (await navigator.gpu.requestAdapter()));
  } catch {
    return false;
  }
}

async function loadRuntime(kind) {
  say(`Loading the runtime, ${megabytes(model.runtimes[kind])}.`);
  const { script, binary } = RUNTIMES[kind];
  const [ort, wasm] = await Promise.all([import(new URL(script, import.meta.url)), downloadCompressed(binary)]);
  ort.env.wasm.numThreads = 1; // more need headers that static hosts do not send
  ort.env.wasm.wasmBinary = wasm;
  ort.env.logLevel = 'error';
  return { ort, kind };
}

async function openSession(direction) {
  if (sessions[direction]) return sessions[direction];
  const entry = model.models[direction];
  say(`Loading the model, ${megabytes(entry.bytes)}.`);
  const content = new Uint8Array(await download(entry.file));
  const options = { executionProviders: runtime.kind === 'webgpu' ? ['webgpu', 'wasm'] : ['wasm'] };
  sessions = { [direction]: await runtime.ort.InferenceSession.create(content, options) }; // one at a time: a phone's memory
  return sessions[direction];
}

const duration = (seconds) => (seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(1)} s`);

async function runModel(direction, floats, shape) {
  const session = await openSession(direction);
  say('Translating.');
  const start = performance.now();
  const { translated } = await session.run({ image: new runtime.ort.Tensor('float32', floats, shape) });
  return { tensor: translated, seconds: (performance.now() - start) / 1000 };
}

// The model's result for [1, C, h, w], and how long it took; where the GPU fails, by the processor.
async function infer(direction, floats, shape, backend) {
  runtime ??= await loadRuntime(backend === 'wasm' || !(await hasGpu()) ? 'wasm' : 'webgpu');
  try {
    return await runModel(direction, floats, shape);
  } catch (error) {
    if (runtime.kind === 'wasm') throw error;
    say('The GPU cannot run it; the processor will.');
    sessions = {};
    runtime = await loadRuntime('wasm');
    return runModel(direction, floats, shape);
  }
}

// A part [left, top, right, bottom] of the image, by Pillow's bilinear filter, as [height, width, channels]. Read in strips: a canvas
// of all of a large image is more than phones allow.
function readResized(bitmap, box, width, height, channels) {
  const columns = coefficients(bitmap.width, box[0], box[2], width, BILINEAR);
  const rows = coefficients(bitmap.height, box[1], box[3], height, BILINEAR);
  const canvas = new OffscreenCanvas(bitmap.width, Math.min(STRIP, bitmap.height));
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const middle = new Uint8ClampedArray(bitmap.height * width * channels);
  for (let top = 0; top < bitmap.height; top += STRIP) {
    const count = Math.min(STRIP, bitmap.height - top);
    context.fillStyle = `rgb(${model.background.join(' ')})`; // behind what is transparent
    context.fillRect(0, 0, bitmap.width, count);
    context.drawImage(bitmap, 0, top, bitmap.width, count, 0, 0, bitmap.width, count);
    const strip = fromRgba(context.getImageData(0, 0, bitmap.width, count).data, channels);
    if (width === bitmap.width && box[0] === 0 && box[2] === width) middle.set(strip, top * width * channels);
    else resizeColumns(strip, bitmap.width, channels, columns, middle, top);
  }
  return height === bitmap.height && box[1] === 0 && box[3] === height ? middle : resizeRows(middle, width, channels, rows);
}

// RGBA -> RGB, or grey by Pillow's weights.
function fromRgba(rgba, channels) {
  const out = new Uint8ClampedArray((rgba.length / 4) * channels);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    if (channels === 1) out[to++] = (rgba[from] * 19595 + rgba[from + 1] * 38470 + rgba[from + 2] * 7471 + 0x8000) >> 16;
    else for (let c = 0; c < 3; c++) out[to++] = rgba[from + c];
  }
  return out;
}

// As Python's round: halves go to the even number.
function roundEven(x) {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor % 2) : Math.round(x);
}

// (width, height) with no side above `longest`, and the same aspect ratio.
function reduced(width, height, longest) {
  const scale = Math.min(1, longest / Math.max(width, height));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

// What the model sees of an image: pixels [height, width, channels], the image's place in them, and the size of the result.
function fit(bitmap, size, channels) {
  const { width, height } = bitmap, whole = [0, 0, width, height];
  if (size === 'original') {
    const [w, h] = reduced(width, height, MAX_ORIGINAL);
    const { side_multiple: multiple, min_side: smallest } = model;
    const [fullWidth, fullHeight] = [w, h].map((side) => Math.max(smallest, Math.ceil(side / multiple) * multiple));
    const pixels = reflected(readResized(bitmap, whole, w, h, channels), w, h, channels, fullWidth, fullHeight);
    return { pixels, width: fullWidth, height: fullHeight, content: [0, 0, w, h], result: [w, h] };
  }
  const side = size, result = reduced(width, height, MAX_RESULT);
  if (model.fit === 'short_side_crop') {
    const short = Math.min(width, height), left = (width - short) / 2, top = (height - short) / 2;
    const pixels = readResized(bitmap, [left, top, left + short, top + short], side, side, channels);
    return { pixels, width: side, height: side, content: [0, 0, side, side], result: reduced(short, short, MAX_RESULT) };
  }
  if (model.fit === 'pad') {
    const scale = side / Math.max(width, height);
    const [w, h] = [width, height].map((length) => Math.max(1, roundEven(length * scale)));
    const left = Math.floor((side - w) / 2), top = Math.floor((side - h) / 2), inside = readResized(bitmap, whole, w, h, channels);
    const [red, green, blue] = model.background, pixels = new Uint8ClampedArray(side * side * channels);
    const colour = channels === 3 ? [red, green, blue] : [roundEven(0.299 * red + 0.587 * green + 0.114 * blue)];
    for (let i = 0; i < pixels.length; i++) pixels[i] = colour[i % channels];
    for (let y = 0; y < h; y++) {
      const line = inside.subarray(y * w * channels, (y + 1) * w * channels);
      pixels.set(line, ((top + y) * side + left) * channels);
    }
    return { pixels, width: side, height: side, content: [left, top, w, h], result };
  }
  return { pixels: readResized(bitmap, whole, side, side, channels), width: side, height: side, content: [0, 0, side, side], result };
}

// Padded by reflection, below and on the right.
function reflected(pixels, width, height, channels, toWidth, toHeight) {
  if (toWidth === width && toHeight === height) return pixels;
  const out = new Uint8ClampedArray(toWidth * toHeight * channels);
  const inside = (i, length) => {
    const period = Math.max(1, 2 * (length - 1)), at = i % period;
    return at < length ? at : period - at;
  };
  for (let y = 0; y < toHeight; y++)
    for (let x = 0; x < toWidth; x++)
      for (let c = 0; c < channels; c++)
        out[(y * toWidth + x) * channels + c] = pixels[(inside(y, height) * width + inside(x, width)) * channels + c];
  return out;
}

// [h, w, C] of 0..255 -> [C, h, w] of -1..1.
function toPlanes({ pixels, width, height }, channels) {
  const area = width * height, out = new Float32Array(area * channels);
  for (let i = 0; i < area; i++)
    for (let c = 0; c < channels; c++) out[c * area + i] = (pixels[i * channels + c] - 127.5) / 127.5;
  return out;
}

// The image's part of the model's result [1, C, h, w], as 0..255 [h, w, C].
function fromPlanes(tensor, [left, top, width, height]) {
  const [, channels, fullHeight, fullWidth] = tensor.dims, out = new Uint8ClampedArray(width * height * channels);
  for (let c = 0, values = tensor.data; c < channels; c++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const value = values[(c * fullHeight + top + y) * fullWidth + left + x];
        out[(y * width + x) * channels + c] = (value + 1) * 127.5; // such arrays round halves to even, and clip
      }
  return out;
}

// To the size of the result, without the overshoots of the filter.
function restore(pixels, [, , width, height], channels, [toWidth, toHeight]) {
  let low = 255, high = 0;
  for (const value of pixels) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const out = resize(pixels, width, height, channels, toWidth, toHeight, BICUBIC);
  for (let i = 0; i < out.length; i++) out[i] = out[i] < low ? low : out[i] > high ? high : out[i];
  return out;
}

async function asPng(pixels, channels, [width, height]) {
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[i * channels + (channels === 1 ? 0 : c)];
    image.data[4 * i + 3] = 255;
  }
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}

async function open(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file); // upright, in sRGB
  } catch {
    throw new Unusable('That is not an image that this browser can read.');
  }
  if (bitmap.width * bitmap.height > MAX_PIXELS) {
    const message = `The image has ${bitmap.width} x ${bitmap.height} pixels, more than ${MAX_PIXELS / 1e6} million.`;
    bitmap.close();
    throw new Unusable(message);
  }
  return bitmap;
}

async function translate({ file, direction, size, backend }) {
  const bitmap = await open(file), { width, height } = bitmap, channels = model.models[direction].channels;
  let fitted;
  try {
    fitted = fit(bitmap, size, channels);
  } finally {
    bitmap.close();
  }
  const shape = [1, channels, fitted.height, fitted.width];
  const { tensor, seconds } = await infer(direction, toPlanes(fitted, channels), shape, backend);
  const made = tensor.dims[1];
  const image = await asPng(restore(fromPlanes(tensor, fitted.content), fitted.content, made, fitted.result), made, fitted.result);
  const [toWidth, toHeight] = fitted.result;
  const cropped = size !== 'original' && model.fit === 'short_side_crop';
  const isReduced = cropped ? toWidth < Math.min(width, height) : toWidth < width || toHeight < height;
  const notes = [`The model saw ${fitted.width} x ${fitted.height} pixels, for ${duration(seconds)}.`];
  if (isReduced) notes.push(`The image has ${width} x ${height} pixels; the result is reduced to ${toWidth} x ${toHeight}.`);
  return { image, note: notes.join(' '), backend: runtime.kind };
}

onmessage = async ({ data }) => {
  if (data.model) {
    model = data.model;
    return;
  }
  try {
    postMessage({ id: data.id, ...(await translate(data)) });
  } catch (error) {
    postMessage({ id: data.id, error: error instanceof Unusable ? error.message : `It failed: ${error.message ?? error}` });
  }
};

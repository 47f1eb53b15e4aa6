// The page: where images come from (a file, a drop, the clipboard, a drawing, the camera), and what is shown of the result.
// A classic script, so that it also says something where the page was opened as a file.
'use strict';

const $ = (id) => document.getElementById(id);
let model, worker, given = null, running = false, waiting = null, job = 0;

function say(text, wrong = false) {
  $('status').textContent = text;
  $('status').classList.toggle('wrong', wrong);
}

async function start() {
  if (location.protocol === 'file:') return say('Browsers run this from a server only: python -m http.server', true);
  try {
    const answer = await fetch('model.json');
    if (!answer.ok) throw new Error(answer.status);
    model = await answer.json();
  } catch (error) {
    return say(`model.json cannot be loaded: ${error.message}`, true);
  }
  document.title = $('name').textContent = model.name;
  $('about').textContent = `U-GAT-IT, step ${model.step}, ${model.weights} weights.`;
  showSettings();
  // from a blob, as a worker of a file would not have this page's Content-Security-Policy
  const source = `import ${JSON.stringify(new URL('worker.js', location.href).href)};`;
  worker = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })), { type: 'module' });
  worker.onmessage = ({ data }) => (data.status ? say(data.status) : show(data));
  worker.onerror = (event) => say(`The page cannot run here: ${event.message || 'this browser has no module workers'}`, true);
  worker.postMessage({ model });
  if (given) translate();
  else say('Ready: choose, drop, paste or draw an image.');
}

function showSettings() {
  const directions = Object.keys(model.models);
  for (const direction of directions) {
    const label = document.createElement('label'), input = document.createElement('input');
    Object.assign(input, { type: 'radio', name: 'direction', value: direction, checked: direction === directions[0] });
    label.append(input, ` ${direction[0].toUpperCase()} to ${direction[2].toUpperCase()}`);
    $('directions').append(label);
  }
  $('directions').hidden = directions.length < 2;
  const side = model.image_size, sizes = [[side, `${side} x ${side}, as in training`]];
  if (!model.fixed_size) sizes.push([2 * side, `${2 * side} x ${2 * side}`], ['original', "the image's own, up to 512"]);
  for (const [value, text] of sizes) $('size').add(new Option(text, value));
  $('sizes').hidden = sizes.length < 2;
  for (const element of [$('directions'), $('size')]) element.addEventListener('change', () => given && translate());
}

const direction = () => document.querySelector('[name=direction]:checked').value;
const size = () => ($('size').value === 'original' ? 'original' : Number($('size').value));

// Takes an image, shows it, and translates it.
function take(file, isShown = true) {
  given = file;
  if (isShown) showSource('given');
  if ($('given').src) URL.revokeObjectURL($('given').src);
  $('given').src = URL.createObjectURL(file);
  if (worker) translate(); // otherwise once the page has started
}

// One at a time; of those that wait, the last.
function translate() {
  const task = { id: ++job, file: given, direction: direction(), size: size(), backend: new URLSearchParams(location.search).get('backend') };
  $('save').hidden = true;
  say('Reading the image.');
  if (running) waiting = task;
  else {
    running = true;
    worker.postMessage(task);
  }
}

function show({ id, image, note, error, backend }) {
  running = false;
  if (waiting) {
    const task = waiting;
    waiting = null;
    running = true;
    return worker.postMessage(task);
  }
  if (id !== job) return;
  $('note').textContent = error ? '' : note;
  if ($('result').src) URL.revokeObjectURL($('result').src);
  $('result').hidden = $('save').hidden = Boolean(error);
  if (error) {
    $('result').removeAttribute('src');
    if ($('given').naturalWidth === 0) showSource('hint');
    return say(error, true);
  }
  $('result').onload = () => {
    say(`Translated ${backend === 'webgpu' ? 'on the GPU' : 'by the processor'}.`);
    $('result').scrollIntoView({ block: 'nearest', behavior: 'smooth' }); // on a phone it is below
  };
  $('result').src = $('save').href = URL.createObjectURL(image);
  $('save').download = `translated_${direction()}.png`;
  document.body.dataset.backend = backend;
}

function showSource(id) {
  for (const other of ['hint', 'given', 'drawing', 'filming']) $(other).hidden = other !== id;
  if (id !== 'filming') stopFilming();
}

// files

$('choose').onclick = () => $('file').click();
$('file').onchange = () => {
  if ($('file').files.length) take($('file').files[0]);
  $('file').value = '';
};
for (const name of ['dragover', 'dragleave', 'drop'])
  addEventListener(name, (event) => {
    event.preventDefault();
    $('place').classList.toggle('over', name === 'dragover');
    if (name === 'drop') event.dataTransfer.files.length ? take(event.dataTransfer.files[0]) : say('Drop an image file.', true);
  });
addEventListener('paste', (event) => {
  if (event.clipboardData.files.length) take(event.clipboardData.files[0]);
  else say('There is no image in the clipboard.', true);
});

// drawing

const canvas = $('canvas'), context = canvas.getContext('2d', { willReadFrequently: true }), before = [];
const MAX_UNDO = 20; // 1 MB each
let stroke = null;

function clear() {
  context.fillStyle = 'white';
  context.fillRect(0, 0, canvas.width, canvas.height);
}

function remember() {
  before.push(context.getImageData(0, 0, canvas.width, canvas.height));
  if (before.length > MAX_UNDO) before.shift();
}

function point(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
}

function line(from, to) {
  Object.assign(context, { strokeStyle: $('colour').value, lineWidth: $('brush').value, lineCap: 'round' });
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
}

clear();
$('draw').onclick = () => showSource('drawing');
$('undo').onclick = () => before.length && context.putImageData(before.pop(), 0, 0);
$('clear').onclick = () => {
  remember();
  clear();
};
$('drawn').onclick = () => canvas.toBlob((blob) => take(blob, false));
canvas.onpointerdown = (event) => {
  remember();
  canvas.setPointerCapture(event.pointerId);
  stroke = point(event);
  line(stroke, stroke);
};
canvas.onpointermove = (event) => {
  if (!stroke) return;
  const to = point(event);
  line(stroke, to);
  stroke = to;
};
canvas.onpointerup = canvas.onpointercancel = () => (stroke = null);

// camera

$('camera').hidden = !navigator.mediaDevices;
$('camera').onclick = async () => {
  try {
    $('video').srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'user' } });
    showSource('filming');
    await $('video').play();
  } catch (error) {
    showSource(given ? 'given' : 'hint');
    say(`There is no camera to use: ${error.message}`, true);
  }
};
$('shoot').onclick = () => {
  const photo = document.createElement('canvas'), video = $('video');
  [photo.width, photo.height] = [video.videoWidth, video.videoHeight];
  photo.getContext('2d').drawImage(video, 0, 0);
  photo.toBlob((blob) => take(blob));
};
$('leave').onclick = () => showSource(given ? 'given' : 'hint');

function stopFilming() {
  $('video').srcObject?.getTracks().forEach((track) => track.stop());
  $('video').srcObject = null;
}

start();

"use strict";
const SHOWN = 5, SMALL = 200; // classes; pixels below which a picture is shown pixel by pixel
const find = (id) => document.getElementById(id);

// Binaries are compressed, in base64, in parts.
async function unpack(texts) {
  const parts = texts.map(async (text) => (await fetch("data:;base64," + text)).arrayBuffer());
  const stream = new Blob(await Promise.all(parts)).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function load() {
  const [glue, wasm, file] = await Promise.all([graftRuntime.glue, graftRuntime.wasm, graftModel.file].map(unpack));
  graftRuntime = graftModel.file = null; // megabytes of text
  const address = URL.createObjectURL(new Blob([glue], { type: "text/javascript" }));
  ort.env.wasm.numThreads = 1; // more need a server that sends certain headers
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.wasmPaths = { mjs: address };
  return ort.InferenceSession.create(file);
}

// The pixels as the model file's contract wants them: upright, on white, without conversion of colours.
async function decode(file) {
  const picture = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0);
  picture.close();
  return canvas;
}

async function ask(session, canvas) {
  const { width, height } = canvas, { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    rgb[to++] = data[from]; rgb[to++] = data[from + 1]; rgb[to++] = data[from + 2];
  }
  const found = await session.run({ image: new ort.Tensor("uint8", rgb, [1, height, width, 3]) });
  const unknown = found.unknown ? found.unknown.data[0] : null, output = found[graftModel.output].data;
  return { output, unknown, values: graftModel.output === "mask" ? shares(output) : Array.from(output) };
}

function shares(mask) {
  const counts = graftModel.labels.map(() => 0);
  for (const number of mask) counts[number]++;
  return counts.map((count) => count / mask.length);
}

function paint(canvas, mask) {
  const context = canvas.getContext("2d"), picture = context.getImageData(0, 0, canvas.width, canvas.height);
  const palette = graftModel.colours.map((colour) => colour.match(/\d+/g).map(Number));
  mask.forEach((number, i) => {
    for (let c = 0; c < 3; c++) picture.data[4 * i + c] = (picture.data[4 * i + c] + palette[number][c]) >> 1;
  });
  context.putImageData(picture, 0, 0);
}

const isUnlike = (unknown) => unknown !== null && graftModel.threshold !== null && unknown > graftModel.threshold;

function remarks(answer, unknown) {
  if (isUnlike(unknown)) return ["This photo is unlike the training photos, so the numbers mean little."];
  const found = [], { set } = graftModel;
  const likely = set ? answer.filter(([, value]) => value >= set.probability).map(([label]) => label) : [];
  if (likely.length > 1 && likely.length <= SHOWN) {
    found.push(`Not certain: ${likely.slice(0, -1).join(", ")} or ${likely.at(-1)} (right for ${Math.round(set.level * 100)}% of photos).`);
  }
  return found;
}

function make(parent, tag, style, text = "") {
  const made = parent.appendChild(document.createElement(tag));
  made.className = style;
  made.textContent = text;
  return made;
}

function show(card, name, canvas, { output, values, unknown }) {
  const answer = graftModel.labels.map((label, i) => [label, values[i], graftModel.colours[i]]);
  answer.sort((a, b) => b[1] - a[1]);
  if (graftModel.output === "mask") paint(canvas, output);
  canvas.className = Math.max(canvas.width, canvas.height) < SMALL ? "small" : "";
  card.append(canvas);
  const text = make(card, "div", "");
  make(text, "p", "name", name);
  make(text, "p", "best", isUnlike(unknown) ? "unknown" : answer[0][0]);
  for (const remark of remarks(answer, unknown)) make(text, "p", "note", remark);
  for (const [label, value, colour] of answer.slice(0, SHOWN)) {
    const row = make(text, "div", "row"), percent = `${(100 * value).toFixed(1)}%`;
    make(row, "span", "", label).title = label;
    const bar = make(make(row, "div", "bar"), "i", "");
    bar.style.width = percent;
    if (colour) bar.style.background = colour;
    make(row, "span", "", percent);
  }
  return Object.fromEntries(answer);
}

const session = load();
const answered = []; // what was shown, newest first: {name, answer, unknown}
let queue = session.then(
  () => { find("status").textContent = ""; },
  (error) => { find("status").className = "bad"; find("status").textContent = `The model could not be loaded: ${error.message ?? error}`; },
);

async function answer(file) {
  const card = document.createElement("article");
  card.className = "card";
  try {
    const running = await session.catch(() => null);
    if (!running) return;
    find("status").textContent = `${file.name} …`;
    await new Promise((shown) => setTimeout(shown, 20)); // the model runs where the page is drawn
    const canvas = await decode(file), found = await ask(running, canvas);
    answered.unshift({ name: file.name, answer: show(card, file.name, canvas, found), unknown: found.unknown });
  } catch (error) {
    card.replaceChildren();
    card.classList.add("bad");
    make(card, "p", "", `${file.name}: this file could not be read as an image (${error.message ?? error})`);
  }
  find("status").textContent = "";
  find("answers").prepend(card);
}

const accept = (files) => { for (const file of files) queue = queue.then(() => answer(file)); };
find("files").addEventListener("change", (event) => { accept([...event.target.files]); event.target.value = ""; });
addEventListener("dragover", (event) => { event.preventDefault(); find("drop").classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) find("drop").classList.remove("over"); });
addEventListener("drop", (event) => { event.preventDefault(); find("drop").classList.remove("over"); accept([...event.dataTransfer.files]); });

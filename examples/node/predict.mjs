// node predict.mjs MODEL LABELS IMAGE: the five most probable classes. `npm ci` installs what it needs, and
// `graft info MODEL --json > model.json` writes LABELS.
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";
import sharp from "sharp";

const [model, about, image] = process.argv.slice(2);
const { labels } = JSON.parse(await readFile(about));
const session = await ort.InferenceSession.create(await readFile(model));
const upright = sharp(image).rotate().flatten({ background: "white" }).toColourspace("srgb");
const { data, info } = await upright.raw().toBuffer({ resolveWithObject: true });
const pixels = new ort.Tensor("uint8", new Uint8Array(data), [1, info.height, info.width, 3]);
const { probabilities } = await session.run({ image: pixels });
const answer = labels.map((label, i) => [label, probabilities.data[i]]).sort((a, b) => b[1] - a[1]);
for (const [label, probability] of answer.slice(0, 5)) console.log(`${label}\t${probability.toFixed(4)}`);

// node predict.mjs MODEL PIXELS "[batch, height, width, 3]": raw RGB bytes in, probabilities as JSON out.
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";

const [model, pixels, dims] = process.argv.slice(2);
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(await readFile(model));
const image = new ort.Tensor("uint8", new Uint8Array(await readFile(pixels)), JSON.parse(dims));
const { probabilities } = await session.run({ image });
console.log(JSON.stringify({ dims: probabilities.dims, data: Array.from(probabilities.data) }));

"""python predict.py MODEL IMAGE: the five most probable classes. Needs onnxruntime, numpy and pillow."""

import json, sys
import numpy as np, onnxruntime as ort
from PIL import Image, ImageOps

session = ort.InferenceSession(sys.argv[1])  # runs/photos/model.onnx
labels = json.loads(session.get_modelmeta().custom_metadata_map["graft.labels"])
picture = ImageOps.exif_transpose(Image.open(sys.argv[2])).convert("RGBA")
picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
probabilities = session.run(None, {"image": np.asarray(picture)[None]})[0][0]
for i in probabilities.argsort()[::-1][:5]:
    print(f"{labels[i]}\t{probabilities[i]:.4f}")

// predict MODEL IMAGE: the five most probable classes. Needs onnxruntime, stb_image and nlohmann/json:
// g++ -std=c++20 predict.cpp -o predict -I ONNXRUNTIME/include -L ONNXRUNTIME/lib -lonnxruntime
#define STB_IMAGE_IMPLEMENTATION
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <onnxruntime_cxx_api.h>
#include <stb/stb_image.h>

int main(int, char** arguments) {
  Ort::Env env;
  Ort::Session session(env, arguments[1], Ort::SessionOptions());
  Ort::AllocatorWithDefaultOptions allocator;
  auto labels = nlohmann::json::parse(session.GetModelMetadata().LookupCustomMetadataMapAllocated("graft.labels", allocator).get());
  int width, height, channels;  // stb_image does not turn photos upright by their EXIF tag
  unsigned char* pixels = stbi_load(arguments[2], &width, &height, &channels, 3);
  if (!pixels) return std::fprintf(stderr, "%s: %s\n", arguments[2], stbi_failure_reason()), 2;
  int64_t shape[] = {1, height, width, 3};
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  auto image = Ort::Value::CreateTensor<uint8_t>(memory, pixels, size_t(3) * width * height, shape, 4);
  const char *input = "image", *output = "probabilities";
  auto found = session.Run({}, &input, &image, 1, &output, 1);
  const float* probabilities = found[0].GetTensorData<float>();
  std::vector<std::pair<float, std::string>> answer;
  for (size_t i = 0; i < labels.size(); i++) answer.emplace_back(probabilities[i], labels[i]);
  std::sort(answer.rbegin(), answer.rend());
  for (size_t i = 0; i < std::min<size_t>(5, answer.size()); i++) std::printf("%s\t%.4f\n", answer[i].second.c_str(), answer[i].first);
}

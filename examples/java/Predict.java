// java -cp onnxruntime.jar Predict.java MODEL IMAGE: the five most probable classes.
// Needs com.microsoft.onnxruntime:onnxruntime. ImageIO does not turn photos upright by their EXIF tag.
import ai.onnxruntime.*;
import java.awt.*;
import java.awt.image.BufferedImage;
import java.io.File;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;

public class Predict {
    public static void main(String[] arguments) throws Exception {
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        OrtSession session = environment.createSession(arguments[0]);
        String labels = session.getMetadata().getCustomMetadataValue("graft.labels").get(); // a JSON list
        BufferedImage read = ImageIO.read(new File(arguments[1]));
        BufferedImage picture = new BufferedImage(read.getWidth(), read.getHeight(), BufferedImage.TYPE_INT_RGB);
        picture.createGraphics().drawImage(read, 0, 0, Color.WHITE, null);
        ByteBuffer pixels = ByteBuffer.allocateDirect(3 * read.getWidth() * read.getHeight());
        for (int rgb : picture.getRGB(0, 0, read.getWidth(), read.getHeight(), null, 0, read.getWidth()))
            pixels.put((byte) (rgb >> 16)).put((byte) (rgb >> 8)).put((byte) rgb);
        long[] shape = {1, read.getHeight(), read.getWidth(), 3};
        OnnxTensor image = OnnxTensor.createTensor(environment, pixels.rewind(), shape, OnnxJavaType.UINT8);
        float[] found = ((float[][]) session.run(Map.of("image", image)).get("probabilities").get().getValue())[0];
        System.out.println(labels);
        IntStream.range(0, found.length).boxed().sorted(Comparator.comparing(i -> -found[i])).limit(5)
            .forEach(i -> System.out.printf("%d\t%.4f%n", i, found[i]));
    }
}

import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.DescriptorProtos.FileDescriptorSet;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.DynamicMessage;
import com.google.protobuf.util.JsonFormat;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Prints a topic's first decision as JSON: BOOTSTRAP TOPIC DESCRIPTOR_SET. */
public final class DecisionReader {
  public static void main(String[] arguments) throws Exception {
    Map<String, Object> settings = new HashMap<>();
    settings.put("bootstrap.servers", arguments[0]);
    settings.put("group.id", "java-" + arguments[1]);
    settings.put("auto.offset.reset", "earliest");
    var bytes = new ByteArrayDeserializer();
    try (var consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
      consumer.subscribe(List.of(arguments[1]));
      while (true) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
          System.out.println(asJson(record, Path.of(arguments[2])));
          return;
        }
      }
    }
  }

  private static String asJson(ConsumerRecord<byte[], byte[]> record, Path descriptors)
      throws Exception {
    String type =
        new String(record.headers().lastHeader("content-type").value(), StandardCharsets.UTF_8);
    if (type.equals("application/json")) {
      return new String(record.value(), StandardCharsets.UTF_8);
    }
    Map<String, FileDescriptor> files = new HashMap<>();
    for (FileDescriptorProto file :
        FileDescriptorSet.parseFrom(Files.readAllBytes(descriptors)).getFileList()) {
      FileDescriptor[] needed =
          file.getDependencyList().stream().map(files::get).toArray(FileDescriptor[]::new);
      files.put(file.getName(), FileDescriptor.buildFrom(file, needed));
    }
    var decision = files.get("scoring/v1/decision.proto").findMessageTypeByName("Decision");
    DynamicMessage message = DynamicMessage.parseFrom(decision, record.value());
    return JsonFormat.printer().omittingInsignificantWhitespace().print(message);
  }
}

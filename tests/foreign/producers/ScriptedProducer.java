import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Does what each line of its input says, and answers "ok" when it is done: BOOTSTRAP is its
 * argument. Lines: producer [SETTING=VALUE ...] | send TOPIC PARTITION KEY BASE64 | flush | begin |
 * commit | abort
 */
public final class ScriptedProducer {
  private static KafkaProducer<byte[], byte[]> producer;

  public static void main(String[] arguments) throws Exception {
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      obey(arguments[0], line.split(" "));
      System.out.println("ok");
    }
  }

  private static void obey(String bootstrap, String[] words) throws Exception {
    switch (words[0]) {
      case "producer" -> producer = made(bootstrap, words);
      case "send" -> send(words[1], Integer.parseInt(words[2]), words[3], words[4]);
      case "flush" -> producer.flush();
      case "begin" -> producer.beginTransaction();
      case "commit" -> producer.commitTransaction();
      case "abort" -> {
        producer.flush(); // an abort that found its records still here would drop them
        producer.abortTransaction();
      }
      default -> throw new IllegalArgumentException(words[0]);
    }
  }

  private static KafkaProducer<byte[], byte[]> made(String bootstrap, String[] words) {
    if (producer != null) {
      producer.close();
    }
    Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
    for (int i = 1; i < words.length; i++) {
      String[] setting = words[i].split("=", 2);
      settings.put(setting[0], setting[1]);
    }
    var bytes = new ByteArraySerializer();
    var fresh = new KafkaProducer<>(settings, bytes, bytes);
    if (settings.containsKey("transactional.id")) {
      fresh.initTransactions();
    }
    return fresh;
  }

  private static void send(String topic, int partition, String key, String value)
      throws Exception {
    var record =
        new ProducerRecord<>(
            topic,
            partition,
            key.getBytes(StandardCharsets.UTF_8),
            Base64.getDecoder().decode(value));
    producer.send(record);
  }
}

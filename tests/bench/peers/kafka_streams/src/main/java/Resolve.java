import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.StreamPartitioner;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** Dedupe, by space, identify, by profile: exactly once. Runs until it is told to stop. */
public final class Resolve {
  private Resolve() {}

  /** @param args bootstrap, application id, input, unique, output, duplicates, state folder. */
  public static void main(String[] args) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, args[6]);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
    settings.put("max.poll.records", 2000);
    settings.put("auto.offset.reset", "earliest");
    settings.put("producer.compression.type", "lz4");
    settings.put("producer.linger.ms", 5);
    settings.put("producer.batch.size", 262144);

    Topology line = new Topology();
    var bytes = new ByteArrayDeserializer();
    var out = new ByteArraySerializer();
    StreamPartitioner<byte[], byte[]> bySpace =
        (topic, space, value, count) -> Optional.of(Set.of((space[space.length - 1] - '0') % count));
    line.addSource("events", bytes, bytes, args[2]);
    line.addProcessor("dedupe", Dedupe::new, "events");
    line.addStateStore(store("marks", Serdes.ByteArray(), Serdes.ByteArray()), "dedupe");
    line.addSink("unique", args[3], out, out, bySpace, "dedupe");
    line.addSink("duplicates", args[5], out, out, "dedupe");
    line.addSource("by space", bytes, bytes, args[3]);
    line.addProcessor("identify", Identify::new, "by space");
    line.addStateStore(store("owners", Serdes.String(), Serdes.String()), "identify");
    line.addStateStore(store("people", Serdes.String(), Serdes.ByteArray()), "identify");
    line.addStateStore(store("pointers", Serdes.String(), Serdes.ByteArray()), "identify");
    line.addSink("profiles", args[4], out, out, "identify");

    KafkaStreams streams = new KafkaStreams(line, settings);
    streams.setUncaughtExceptionHandler(
        error -> {
          error.printStackTrace();
          return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler
              .StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }

  private static <K, V> StoreBuilder<KeyValueStore<K, V>> store(String name, Serde<K> key, Serde<V> value) {
    return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), key, value).withCachingEnabled();
  }
}

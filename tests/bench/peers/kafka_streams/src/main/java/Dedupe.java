import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** An event seen before goes no further; the rest goes to its space with its origin. */
final class Dedupe implements Processor<byte[], byte[], byte[], byte[]> {
  private ProcessorContext<byte[], byte[]> context;
  private KeyValueStore<byte[], byte[]> marks;

  @Override
  public void init(ProcessorContext<byte[], byte[]> context) {
    this.context = context;
    marks = context.getStateStore("marks");
  }

  @Override
  public void process(Record<byte[], byte[]> record) {
    Envelope event = new Envelope(record.value(), false);
    var origin = context.recordMetadata().orElseThrow();
    if (marks.get(event.uid) != null) {
      context.forward(record.withValue(event.uid), "duplicates");
      return;
    }
    marks.put(event.uid, new byte[0]);
    byte[] space = event.space.getBytes(StandardCharsets.UTF_8);
    ByteBuffer out = ByteBuffer.allocate(record.value().length + 20);
    out.put(record.value()).putInt(origin.partition()).putLong(origin.offset()).putLong(event.acceptedAt);
    context.forward(record.withKey(space).withValue(out.array()), "unique");
  }
}

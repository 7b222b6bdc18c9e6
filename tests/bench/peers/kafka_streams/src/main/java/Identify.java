import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.TreeSet;
import java.util.UUID;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** One writer a space: user ids and addresses join people, an anonymous id points at the latest one. */
final class Identify implements Processor<byte[], byte[], byte[], byte[]> {
  private ProcessorContext<byte[], byte[]> context;
  private KeyValueStore<String, String> owners;
  private KeyValueStore<String, byte[]> people;
  private KeyValueStore<String, byte[]> pointers;

  @Override
  public void init(ProcessorContext<byte[], byte[]> context) {
    this.context = context;
    owners = context.getStateStore("owners");
    people = context.getStateStore("people");
    pointers = context.getStateStore("pointers");
  }

  @Override
  public void process(Record<byte[], byte[]> record) {
    Envelope event = new Envelope(record.value(), true);
    long at = Math.min(event.time, event.acceptedAt);
    List<String> strong = new ArrayList<>(2);
    if (!event.userId.isEmpty()) {
      strong.add("u:" + event.userId);
    }
    if (!event.email.isEmpty()) {
      strong.add("e:" + event.email);
    }
    Person person;
    if (strong.isEmpty()) {
      byte[] pointer = pointers.get(event.anonymousId);
      if (pointer == null) {
        return;
      }
      person = living(new String(pointer, 8, pointer.length - 8, StandardCharsets.UTF_8));
    } else {
      person = join(strong, context.recordMetadata().orElseThrow().offset());
      update(person, event, at);
      point(event, person, at);
    }
    byte[] profile = person.dump();
    byte[] value = ByteBuffer.allocate(record.value().length + profile.length)
        .put(record.value()).put(profile).array();
    context.forward(record.withKey(person.id.getBytes(StandardCharsets.UTF_8)).withValue(value));
  }

  private Person living(String id) {
    Person person = Person.load(people.get(id));
    return person.into.isEmpty() ? person : living(person.into);
  }

  private Person join(List<String> strong, long rank) {
    TreeSet<Person> found =
        new TreeSet<>(Comparator.<Person>comparingLong(p -> p.rank).thenComparing(p -> p.id));
    for (String identifier : strong) {
      String owner = owners.get(identifier);
      if (owner != null) {
        found.add(living(owner));
      }
    }
    Person winner;
    if (found.isEmpty()) {
      byte[] name = (strong.get(0) + "\0" + rank).getBytes(StandardCharsets.UTF_8);
      winner = new Person(UUID.nameUUIDFromBytes(name).toString(), rank);
      people.put(winner.id, winner.dump());
    } else {
      winner = found.pollFirst();
      for (Person loser : found) {
        merge(winner, loser);
      }
    }
    for (String identifier : strong) {
      if (!winner.id.equals(owners.get(identifier))) {
        owners.put(identifier, winner.id);
      }
    }
    return winner;
  }

  private void merge(Person winner, Person loser) {
    loser.into = winner.id;
    if (loser.emailAt > winner.emailAt) {
      winner.email = loser.email;
      winner.emailAt = loser.emailAt;
    }
    for (String userId : loser.userIds) {
      if (!winner.userIds.contains(userId)) {
        winner.userIds.add(userId);
      }
    }
    people.put(loser.id, loser.dump());
    people.put(winner.id, winner.dump());
  }

  private void update(Person person, Envelope event, long at) {
    boolean changed = false;
    if (!event.email.isEmpty() && !event.email.equals(person.email) && at >= person.emailAt) {
      person.email = event.email;
      person.emailAt = at;
      changed = true;
    }
    if (!event.userId.isEmpty() && !person.userIds.contains(event.userId)) {
      person.userIds.add(event.userId);
      changed = true;
    }
    int last = person.anonymousIds.size() - 1;
    if (!event.anonymousId.isEmpty()
        && (last < 0 || !person.anonymousIds.get(last).equals(event.anonymousId))) {
      person.anonymousIds.remove(event.anonymousId);
      person.anonymousIds.add(event.anonymousId);
      if (person.anonymousIds.size() > 5) {
        person.anonymousIds.remove(0);
      }
      changed = true;
    }
    if (changed) {
      people.put(person.id, person.dump());
    }
  }

  private void point(Envelope event, Person person, long at) {
    if (event.anonymousId.isEmpty()) {
      return;
    }
    byte[] pointer = pointers.get(event.anonymousId);
    if (pointer == null || ByteBuffer.wrap(pointer).getLong() < at) {
      byte[] id = person.id.getBytes(StandardCharsets.UTF_8);
      pointers.put(event.anonymousId, ByteBuffer.allocate(8 + id.length).putLong(at).put(id).array());
    }
  }
}

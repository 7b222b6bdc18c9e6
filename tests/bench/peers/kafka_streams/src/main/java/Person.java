import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;

/** One profile. */
final class Person {
  final String id;
  long rank;
  String email = "";
  long emailAt = -1;
  List<String> userIds = new ArrayList<>();
  List<String> anonymousIds = new ArrayList<>();
  String into = "";

  Person(String id, long rank) {
    this.id = id;
    this.rank = rank;
  }

  byte[] dump() {
    try {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream(128);
      DataOutputStream out = new DataOutputStream(bytes);
      out.writeUTF(id);
      out.writeLong(rank);
      out.writeUTF(email);
      out.writeLong(emailAt);
      out.writeUTF(into);
      for (List<String> list : List.of(userIds, anonymousIds)) {
        out.writeInt(list.size());
        for (String value : list) {
          out.writeUTF(value);
        }
      }
      return bytes.toByteArray();
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
  }

  static Person load(byte[] data) {
    try {
      DataInputStream in = new DataInputStream(new ByteArrayInputStream(data));
      Person person = new Person(in.readUTF(), in.readLong());
      person.email = in.readUTF();
      person.emailAt = in.readLong();
      person.into = in.readUTF();
      for (List<String> list : List.of(person.userIds, person.anonymousIds)) {
        for (int left = in.readInt(); left > 0; left--) {
          list.add(in.readUTF());
        }
      }
      return person;
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
  }
}

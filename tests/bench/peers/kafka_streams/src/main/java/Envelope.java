import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Reads what is needed of an Avro envelope by hand: faster than Avro's own reader, to the peer's advantage. */
final class Envelope {
  final byte[] uid = new byte[16];
  final String space;
  final long acceptedAt;
  String type;
  String userId;
  String anonymousId;
  String email;
  long time;
  String eventId;

  /** @param whole whether to read beyond the first three fields. */
  Envelope(byte[] record, boolean whole) {
    ByteBuffer in = ByteBuffer.wrap(record, 5, record.length - 5);
    in.get(uid);
    space = text(in);
    acceptedAt = number(in);
    if (!whole) {
      return;
    }
    eventId = text(in);
    type = text(in);
    text(in); // name
    userId = text(in).trim();
    anonymousId = text(in).trim();
    email = text(in).trim().toLowerCase();
    text(in); // phone
    text(in); // country
    text(in); // previous id
    time = number(in);
  }

  static long number(ByteBuffer in) {
    long raw = 0;
    int shift = 0;
    byte octet;
    do {
      octet = in.get();
      raw |= (long) (octet & 0x7f) << shift;
      shift += 7;
    } while (octet < 0);
    return (raw >>> 1) ^ -(raw & 1);
  }

  static String text(ByteBuffer in) {
    byte[] bytes = new byte[(int) number(in)];
    in.get(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }
}

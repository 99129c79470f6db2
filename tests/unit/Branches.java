//SOURCES ../../lib/NeonApi.java

import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/** Neon branches as the tables of the unit tests write them. */
final class Branches {

    private Branches() {
    }

    /** Reads a list such as {@code production#default, d1-login<production#protected#expires-20}; null is an empty list. */
    static List<NeonApi.Branch> of(String text) {
        return text == null ? List.of() : Arrays.stream(text.split(", ")).map(Branches::branch).toList();
    }

    private static NeonApi.Branch branch(String text) {
        String[] parts = text.split("#");
        String[] names = parts[0].split("<");
        Set<String> flags = Set.of(Arrays.copyOfRange(parts, 1, parts.length));
        Instant expiresAt = flags.stream().filter(flag -> flag.startsWith("expires-")).map(flag -> day(flag.substring(8)))
                .findFirst().orElse(null);
        return new NeonApi.Branch("br-" + names[0], names[0], names.length == 1 ? null : "br-" + names[1], "ready",
                flags.contains("default"), flags.contains("protected"), expiresAt, flags.contains("schema-only"),
                !flags.contains("masked"));
    }

    /** Returns the start of a day of the month that the tables are about. */
    static Instant day(String day) {
        return Instant.parse("2026-12-" + day + "T00:00:00Z");
    }
}

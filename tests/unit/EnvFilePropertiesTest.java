//DEPS org.quicktheories:quicktheories:0.26
//SOURCES ../../lib/EnvEntries.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.quicktheories.generators.Generate.oneOf;
import static org.quicktheories.generators.Generate.pick;
import static org.quicktheories.generators.SourceDSL.integers;
import static org.quicktheories.generators.SourceDSL.lists;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.quicktheories.QuickTheory;
import org.quicktheories.core.Gen;

/**
 * What holds for any env file, whatever bytes it is made of: only what is set changes. A failure is shrunk, and printed with the seed it
 * comes from.
 */
class EnvFilePropertiesTest {

    private static final int TRIES = 5_000;
    private static final Map<String, String> ENTRIES = entries();
    private static final String BYTE_ORDER_MARK = "\u00ef\u00bb\u00bf";

    /** What parsers stumble over; the rest of a text is bytes of any value, and so mostly no UTF-8. */
    private static final List<String> TOKENS = List.of("URL=old", "URL_UNPOOLED=\"old\"", "\"", "'", "`", "\\\"", "\\'", "\\`", "\\", "#",
            " # ", "=", " = ", ": ", "export ", " ", "\t", "\r", "$(x)", "${URL}", "é", BYTE_ORDER_MARK);

    private final Map<String, Integer> met = new TreeMap<>();

    @Test
    void ours_stand_on_top_and_nowhere_else() {
        check(anything(), content -> merge(content, (top, rest) -> {
            assertTrue(top.matches("(?:" + BYTE_ORDER_MARK + "\\n)?(?:export )?URL=\"new\"\\n(?:export )?URL_UNPOOLED=\"direct\"\\n"), top);
            ENTRIES.keySet().forEach(key -> assertFalse(EnvEntries.sets(rest, key), () -> escape(rest)));
            count("files", true);
            count("files that set one", ENTRIES.keySet().stream().anyMatch(key -> EnvEntries.sets(content, key)));
        }));
    }

    @Test
    void setting_it_again_changes_nothing() {
        check(anything(), content -> merge(content, (top, rest) -> {
            assertEquals(escape(top + rest), escape(EnvEntries.merge(top + rest, ENTRIES)));
            count("files", true);
        }));
    }

    @Test
    void nothing_else_changes() {
        check(anything(), content -> merge(content, (top, rest) -> {
            String others = content.replaceFirst("^" + BYTE_ORDER_MARK + "\n?", "");
            if (!content.contains("URL")) {
                assertEquals(escape(others), escape(rest));
            }
            int position = 0;
            for (char c : rest.replaceAll("(?m)^#\n", "").toCharArray()) {
                position = content.indexOf(c, position) + 1;
                assertTrue(position > 0, () -> escape(rest));
            }
            count("files", true);
            count("files without the key", !content.contains("URL"));
        }));
    }

    /** A property says something only if it has met what it speaks of. */
    @AfterEach
    void met_enough() {
        met.forEach((what, times) -> assertTrue(times >= TRIES / 100, () -> "met only " + times + " " + what + " in " + met));
        assertTrue(met.getOrDefault("files", 0) >= 1_000, met::toString);
    }

    private void count(String what, boolean isThere) {
        met.merge(what, isThere ? 1 : 0, Integer::sum);
    }

    private static <T> void check(Gen<T> source, Consumer<T> property) {
        QuickTheory.qt().withExamples(TRIES).forAll(source).checkAssert(property);
    }

    /** Any bytes but those of a line feed. */
    private static Gen<String> text() {
        Gen<String> bytes = integers().between(1, 255).map(b -> b == '\n' ? "" : Character.toString(b));
        return lists().of(oneOf(pick(TOKENS), bytes)).ofSizeBetween(0, 6).map(tokens -> String.join("", tokens));
    }

    /** Any bytes at all, without a thought of what an env file is. */
    private static Gen<String> anything() {
        return lists().of(oneOf(text(), pick(List.of("\n", "\r\n", "\n\n", "A=", "A=\"", "URL=", "URL=\"", "URL='"))))
                .ofSizeBetween(0, 10).map(texts -> String.join("", texts)).describedAs(EnvFilePropertiesTest::escape);
    }

    /** Checks what becomes of a file, its top and its rest. One that cannot take our entries without a loss is refused, with a word on why. */
    private static void merge(String content, BiConsumer<String, String> property) {
        try {
            String merged = EnvEntries.merge(content, ENTRIES);
            int rest = merged.indexOf("direct\"\n") + "direct\"\n".length();
            property.accept(merged.substring(0, rest), merged.substring(rest));
        } catch (Failure e) {
            assertTrue(e.getMessage().matches("line \\d+ sets one of URL, URL_UNPOOLED along with something else;.*"), e.getMessage());
        }
    }

    private static Map<String, String> entries() {
        Map<String, String> entries = new LinkedHashMap<>();
        entries.put("URL", "new");
        entries.put("URL_UNPOOLED", "direct");
        return entries;
    }

    /** Shows bytes, so that a failure can be read and typed. */
    private static String escape(String content) {
        StringBuilder escaped = new StringBuilder();
        content.chars().forEach(c -> escaped.append(c == '\n' ? "\\n\n" : c == '\\' ? "\\\\" : c >= ' ' && c < 0x7f ? Character.toString(c)
                : String.format("\\x%02x", c)));
        return escaped.toString();
    }
}

//SOURCES ../../lib/Secret.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What may be shown of a text from elsewhere. */
class SecretTest {

    @Test
    void a_secret_as_text_is_three_stars() {
        assertEquals("key ***", "key " + new Secret("napi_x"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"postgresql://u:hidden@h/d", "postgres://u:hidden@h/d", "(postgresql://u:pass hidden@h/d)",
        "postgresql%3A%2F%2Fu%3Ahidden%40h", "POSTGRESQL%3a%2f%2fu%3ahidden", "u:hidden@host", "npg_hidden1", "napi_hidden1",
        "password=hidden", "Password: 'hidden x'", "{\"password\":\"hidden\"}", "pwd%3Dhidden", "PGPASSWORD=hidden&a=b"})
    void nothing_that_looks_like_a_secret_remains(String secret) {
        String shown = Secret.redact("cannot use " + secret);
        assertTrue(shown.startsWith("cannot use ") && shown.contains("***"), shown);
        assertFalse(shown.contains("hidden"), shown);
    }

    @ParameterizedTest
    @CsvSource(quoteCharacter = '`', textBlock = """
            branch already exists; branch_name:"x"
            role 'a' does not exist
            see https://neon.com/docs/x
            password authentication failed
            """)
    void other_texts_remain_as_they_are(String text) {
        assertEquals(text, Secret.redact(text));
    }

    @Test
    void a_text_from_elsewhere_is_one_line_of_moderate_length_without_a_period() {
        assertEquals("a b c", Secret.redact(" a\r\n\tb \u001b\u2028 c.\n"));
        assertEquals("x".repeat(300) + "...", Secret.redact("x".repeat(400)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"\n", "\r", "\u001b", "\0", "\u0085", "\u2028", "\u2029"})
    void no_line_of_a_log_can_be_forged_or_coloured(String character) {
        assertEquals("a b", Secret.oneLine("a" + character + "b"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"x", "a:", ":@", "a:b", "a:b@", "postgres", "password=", "password=\"", "pwd='", "npg_", "\n", " ", ".",
        "\u0000"})
    void a_long_text_is_cut_before_patterns_run(String part) {
        assertTimeoutPreemptively(Duration.ofSeconds(20), () -> {
            String redacted = Secret.redact(part.repeat(100_000));
            assertTrue(redacted.length() < 400, redacted);
            Advice.of(Advice.NEON, "422 " + part.repeat(100_000));
            Advice.of(Advice.AWS, part.repeat(100_000));
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"a", "a:", "napi_", "%3A"})
    void a_long_value_of_an_option_is_checked_at_once(String part) {
        assertTimeoutPreemptively(Duration.ofSeconds(20), () -> Secret.CERTAIN.matcher(part.repeat(100_000 / part.length())).find());
    }

    /** Wherever a long text is cut, half of a secret must not look harmless. */
    @Test
    void a_long_text_is_not_cut_inside_a_secret() {
        for (int length = 0; length < 6_000; length += 3) {
            String shown = Secret.redact("a" + " ".repeat(length) + "u:hidden@host");
            assertFalse(shown.contains("hid"), shown);
        }
    }
}

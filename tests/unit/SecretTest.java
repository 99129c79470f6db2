import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How text from elsewhere is made fit to print. */
class SecretTest {

    @ParameterizedTest
    @ValueSource(strings = {"x", "a:", ":@", "a:b", "a:b@", "postgres", "password=", "password=\"", "pwd='", "npg_", "\n", " ", ".", "\u0000"})
    void a_long_text_is_cut_before_patterns_run(String part) {
        assertTimeoutPreemptively(Duration.ofSeconds(20), () -> {
            String redacted = Secret.redact(part.repeat(100_000));
            assertTrue(redacted.length() < 400, redacted);
            Advice.of(Advice.NEON, "422 " + part.repeat(100_000));
            Advice.of(Advice.AWS, part.repeat(100_000));
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"user:", "password=\"", "password='a b ", "{\"password\": \"", "postgresql://u:"})
    void a_secret_that_is_cut_is_not_printed(String start) {
        String redacted = Secret.redact("refused " + start + "hunter2".repeat(1000) + "\"@host");
        assertTrue(redacted.startsWith("refused "), redacted);
        assertFalse(redacted.contains("hunter2"), redacted);
    }

    @Test
    void other_text_stays() {
        assertEquals("role not found: 'x' (at 10:30)", Secret.redact("role\nnot found: 'x' (at 10:30)."));
    }
}

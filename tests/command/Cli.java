//SOURCES ../sandbox/Sandbox.java

import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/** Runs neon-ci in this JVM, against a sandbox, as a build would: arguments in; exit code and output out. */
final class Cli {

    /** What a run left, with all it wrote to stdout and to stderr. */
    record Result(int exitCode, String out, String err) {
    }

    private Cli() {
    }

    /** Runs neon-ci with the environment of a build in the sandbox. */
    static Result run(Sandbox sandbox, String... args) {
        return run(sandbox, Map.of(), args);
    }

    /**
     * Runs neon-ci with the environment of a build in the sandbox, and fails if anything it says holds a secret.
     *
     * @param changes variables that differ from the sandbox's; an empty value stands for a variable that is set to nothing
     */
    static Result run(Sandbox sandbox, Map<String, String> changes, String... args) {
        Map<String, String> environment = new HashMap<>(sandbox.environment());
        environment.putAll(changes);
        sandbox.systemProperties().forEach(System::setProperty);
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int exitCode = NeonCi.commandLine(environment)
                .setOut(new PrintWriter(out, true))
                .setErr(new PrintWriter(err, true))
                .execute(args);
        Result result = new Result(exitCode, out.toString(), err.toString());
        assertNoSecret(sandbox.secrets(), result.out(), result.err());
        return result;
    }

    /** Fails if a text holds a secret. The failure does not show which: its own report must not hold one either. */
    static void assertNoSecret(Set<String> secrets, String... texts) {
        for (String text : texts) {
            assertFalse(secrets.stream().anyMatch(text::contains), "a secret stands in the output");
        }
    }
}

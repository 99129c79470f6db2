//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Only a terminal gets colours, and only without NO_COLOR. */
class TerminalTest {

    private static final String ESCAPE = "\u001b[";

    @TempDir
    Path folder;

    @Test
    void a_terminal_gets_colours() {
        assertTrue(onTerminal(Map.of("TERM", "xterm")).contains(ESCAPE));
    }

    @Test
    void a_terminal_with_no_color_gets_none() {
        String output = onTerminal(Map.of("TERM", "xterm", "NO_COLOR", "1"));
        assertTrue(output.contains("neon-ci: Missing required option '--app-id'"), output);
        assertTrue(!output.contains(ESCAPE), output);
    }

    @Test
    void a_log_gets_no_colours() {
        Shell.Result result = Shell.run(folder, Map.of("TERM", "xterm"), "/bin/sh", "-c", command());
        assertEquals("neon-ci: Missing required option '--app-id' (or the variable AWS_APP_ID). See 'neon-ci create-branch --help'.\n",
                result.err());
        assertEquals(2, result.exitCode());
    }

    @ParameterizedTest
    @ValueSource(strings = {"-XX:+UseSerialGC", "-XX:+UseParallelGC", "-XX:+UseG1GC", "-XX:+UseZGC", "-XX:+AnOptionOfAnotherJava"})
    void jvm_options_of_the_user_work(String option) throws IOException {
        String header = Files.readAllLines(Path.of("neon-ci.java")).stream().filter(line -> line.startsWith("//RUNTIME_OPTIONS "))
                .map(line -> line.replaceFirst("\\S+ ", "")).collect(Collectors.joining(" "));
        String command = String.join(" ", Path.of(System.getProperty("java.home"), "bin", "java").toString(), header, "-cp",
                System.getProperty("java.class.path"), "NeonCi --version");
        Shell.Result result = Shell.run(folder, Map.of("JAVA_TOOL_OPTIONS", option), "/bin/sh", "-c", command);
        assertEquals("neon-ci 1.0.0\n", result.out());
        assertEquals("Picked up JAVA_TOOL_OPTIONS: " + option + "\n", result.err());
        assertEquals(0, result.exitCode());
    }

    /** Runs neon-ci on a terminal of script(1). */
    private String onTerminal(Map<String, String> environment) {
        assumeTrue(Files.isExecutable(Path.of("/usr/bin/script")), "script(1) is not installed");
        return Shell.run(folder, environment, "/usr/bin/script", "-qec", command(), "/dev/null").out();
    }

    private static String command() {
        return Shell.quoted(Shell.java("create-branch"));
    }
}

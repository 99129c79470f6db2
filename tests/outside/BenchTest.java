//SOURCES ../command/InSandbox.java
//SOURCES ../bench.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** What neon-ci costs a build and Neon, where it can be counted. */
class BenchTest extends InSandbox {

    /** The key, the branches, the parent's login and its connection string, the new branch, its connection strings. */
    @Test
    void a_new_branch_takes_six_requests_one_after_another() {
        // Requests that are held together must be sent at the same time.
        sandbox.hold("GET", "/(roles|databases)$", 2);
        sandbox.when("POST", "/branches$", () -> sandbox.hold("GET", "/connection_uri$", 2));
        assertEquals(0, create().exitCode());
        assertEquals(List.of("ssm", "branches", "login", "connection_uri", "branches", "connection_uri"), chain());
    }

    @Test
    void an_existing_branch_takes_four() {
        sandbox.neon().add(Cli.BRANCH);
        sandbox.hold("GET", "/(roles|databases|endpoints)$", 3);
        sandbox.hold("GET", "/connection_uri$", 2);
        assertEquals(0, create().exitCode());
        assertEquals(List.of("ssm", "branches", "login", "connection_uri"), chain());
    }

    @Test
    @Tag("slow")
    void a_clean_up_of_500_orphans_stays_below_neons_limits() {
        IntStream.range(0, 500).forEach(i -> sandbox.neon().add(SandboxAws.APP_ID + "-gone-" + i));
        sandbox.neon().isRateLimited = true;
        assertEquals(0, cleanUp("--max-deletions", "500").exitCode());
        assertEquals(1, sandbox.neon().branches().size());
        assertEquals(0, sandbox.neon().rateLimitViolations);
    }

    @Test
    @Tag("slow")
    void the_benchmark_prints_a_row_for_each_program() {
        StringWriter out = new StringWriter();
        int exitCode = new CommandLine(new bench()).setOut(new PrintWriter(out)).execute("--tasks", "new", "--runs", "1");
        assertEquals(0, exitCode);
        assertTrue(Pattern.compile("(?m)^neon-ci +[0-9.]+ +[0-9.]+ +[1-9][0-9]+ +[0-9]+ / [4-9] +[0-9.]+$").matcher(out.toString()).find(),
                out.toString());
    }

    private List<String> chain() {
        return Exchange.longestChain(sandbox.exchanges()).stream().map(exchange -> exchange.path().replaceFirst("/$", "")
                .replaceFirst(".*/", "").replaceFirst("roles|databases|endpoints", "login")).toList();
    }
}

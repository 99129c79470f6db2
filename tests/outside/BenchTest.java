//SOURCES ../command/InSandbox.java
//SOURCES ../bench.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** What neon-ci costs a build and Neon, as far as it can be counted. */
class BenchTest extends InSandbox {

    /** The key, the look-up, the branch, its connection strings: none can be asked for before the answer to the one before. */
    @Test
    void a_new_branch_takes_four_requests_one_after_another() {
        // What is asked for at the same time is on its way at the same time, or the run stands still.
        sandbox.hold("GET", "/connection_uri$", 2);
        assertEquals(0, create().exitCode());
        assertEquals(List.of("POST /ssm/", "GET /branches", "POST /branches", "GET /connection_uri"), chain());
    }

    @Test
    void a_branch_that_is_there_takes_four_too() {
        sandbox.neon().add(Cli.BRANCH);
        sandbox.hold("GET", "/(roles|databases|endpoints)$", 3);
        sandbox.hold("GET", "/connection_uri$", 2);
        assertEquals(0, create().exitCode());
        assertEquals(4, chain().size(), chain().toString());
        assertEquals(List.of("POST /ssm/", "GET /branches"), chain().subList(0, 2));
    }

    @Test
    @Tag("slow")
    void a_clean_up_of_500_orphans_keeps_below_Neons_limits() {
        IntStream.range(0, 500).forEach(i -> sandbox.neon().add(SandboxAws.APP_ID + "-gone-" + i));
        sandbox.neon().limitRate();
        assertEquals(0, cleanUp("--max-deletions", "500").exitCode());
        assertEquals(1, sandbox.neon().branches().size());
        assertEquals(0, sandbox.neon().rateLimitViolations());
    }

    /** The archive of loaded classes is made by the first run; that there are classes it cannot hold is nobody's business. */
    @Test
    @Tag("slow")
    void the_JVM_says_nothing_on_stdout_while_it_archives_classes_or_uses_them() {
        String project = Path.of("").toAbsolutePath().toString();
        Map<String, String> environment = sandbox.environment(Map.of("HOME", System.getProperty("user.home"),
                "JBANG_CACHE_DIR_JARS", folder.resolve("jars").toString()));
        for (int run = 0; run < 2; run++) {
            Shell.Result result = Shell.run(folder, environment, project + "/.ci/jbang", "run", "--cds", project + "/neon-ci.java",
                    "create-branch");
            assertTrue(result.out().matches((run == 0 ? "Created" : "Reusing") + " [^\n]*\nWrote [^\n]*\n"), result.out() + result.err());
        }
    }

    @Test
    @Tag("slow")
    void the_benchmark_runs_every_program_and_counts_its_requests() {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int exitCode = new CommandLine(new bench()).setOut(new PrintWriter(out)).setErr(new PrintWriter(err))
                .execute("--tasks", "new", "--runs", "1", "--json");
        assertEquals(0, exitCode, err::toString);
        JsonNode programs = Cli.json(out.toString()).path("new").path("programs");
        assertEquals(List.of("jbang", "jbang, options", "jbang, archive", "jar, archive"),
                IntStream.range(0, programs.size()).mapToObj(i -> programs.get(i).path("name").asText())
                        .filter(name -> !name.equals("aws + neonctl")).toList());
        for (JsonNode program : programs) {
            assertTrue(program.path("wall_s").path("median").asDouble() > 0, program.toString());
            assertTrue(program.path("chain").asInt() >= 4 && program.path("chain").asInt() <= program.path("requests").asInt(),
                    program.toString());
        }
    }

    private List<String> chain() {
        return Exchange.longestChain(sandbox.exchanges()).stream()
                .map(exchange -> exchange.method() + " " + exchange.path().replaceFirst("^/api/v2/projects/[^/]+", "")).toList();
    }
}

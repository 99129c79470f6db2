//SOURCES ../sandbox/Sandbox.java

import static org.junit.jupiter.api.Assertions.assertFalse;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** Runs neon-ci in this JVM against a sandbox, as a build would. */
final class Cli {

    /** The result of a run, with its whole output. */
    record Result(int exitCode, String out, String err) {
    }

    /** The Neon branch of the build in the sandbox's environment. */
    static final String BRANCH = SandboxAws.APP_ID + "-feature/login";

    /** Masking rules of both kinds, in Neon's form. */
    static final String RULES = """
            [{"database_name":"neondb","schema_name":"public","table_name":"users","column_name":"email",\
            "masking_function":"anon.fake_email()"},\
            {"database_name":"neondb","schema_name":"public","table_name":"users","column_name":"name","masking_value":"'nobody'"}]""";

    static final ObjectMapper JSON = new ObjectMapper();

    private Cli() {
    }

    static Result create(Sandbox sandbox, Path envFile, String... more) {
        return create(sandbox, Map.of(), envFile, more);
    }

    static Result create(Sandbox sandbox, Map<String, String> changes, Path envFile, String... more) {
        return run(sandbox, changes, Stream.concat(Stream.of("create-branch", "--env-file", envFile.toString()), Stream.of(more))
                .toArray(String[]::new));
    }

    static Result cleanUp(Sandbox sandbox, Map<String, String> changes, String... more) {
        return run(sandbox, changes, Stream.concat(Stream.of("cleanup-branches"), Stream.of(more)).toArray(String[]::new));
    }

    /**
     * Runs neon-ci with the environment of a build in the sandbox. Fails if its output contains a secret.
     *
     * @param changes variables that differ from the sandbox's environment; they can be empty
     */
    static Result run(Sandbox sandbox, Map<String, String> changes, String... args) {
        sandbox.systemProperties().forEach(System::setProperty);
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int exitCode = NeonCi.commandLine(sandbox.environment(changes))
                .setOut(new PrintWriter(out, true))
                .setErr(new PrintWriter(err, true))
                .execute(args);
        Result result = new Result(exitCode, out.toString(), err.toString());
        assertNoSecret(sandbox.secrets(), result.out(), result.err());
        return result;
    }

    /** Returns the variables of a run that reads the key from its environment, and sends no request to SSM. */
    static Map<String, String> withKey(Sandbox sandbox) {
        return Map.of("NEON_API_KEY_PARAM", "", "NEON_API_KEY", sandbox.apiKey());
    }

    /** Returns the two lines of the env file for a Neon branch. */
    static String written(Sandbox sandbox, String neonBranch) {
        String direct = sandbox.neon().connectionString(neonBranch);
        String computeId = sandbox.neon().branch(neonBranch).computes.get(0).id();
        return "DATABASE_URL=\"" + direct.replace(computeId, computeId + "-pooler") + "\"\nDATABASE_URL_UNPOOLED=\"" + direct + "\"\n";
    }

    /** Adds the build's branch as a masked one, as if another run had created it. */
    static SandboxMasking addMasked(Sandbox sandbox, String rules, boolean isWanted) {
        SandboxBranch branch = sandbox.neon().add(BRANCH);
        branch.masking = new SandboxMasking(sandbox.neon(), branch,
                json(rules).valueStream().map(SandboxMasking.Rule::of).toList(), isWanted);
        return branch.masking;
    }

    static JsonNode json(String text) {
        try {
            return JSON.readTree(text);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Fails if a text contains a secret. The failure does not print it. */
    static void assertNoSecret(Set<String> secrets, String... texts) {
        for (String text : texts) {
            assertFalse(secrets.stream().anyMatch(text::contains), "the output contains a secret");
        }
    }
}

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

/** Runs neon-ci in this JVM, against a sandbox, as a build would: arguments in; exit code and output out. */
final class Cli {

    /** What a run left, with all it wrote to stdout and to stderr. */
    record Result(int exitCode, String out, String err) {
    }

    /** The Neon branch of the build that the sandbox's environment is of. */
    static final String BRANCH = SandboxAws.APP_ID + "-feature/login";

    /** Masking rules of both kinds, as Neon takes them. */
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
     * Runs neon-ci with the environment of a build in the sandbox, and fails if anything it says holds a secret.
     *
     * @param changes variables that differ from the sandbox's; an empty value stands for a variable that is set to nothing
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

    /** Returns what to change for a run that gets the key from its environment, and so asks SSM for nothing. */
    static Map<String, String> withKey(Sandbox sandbox) {
        return Map.of("NEON_API_KEY_PARAM", "", "NEON_API_KEY", sandbox.apiKey());
    }

    /** Returns the two lines that the env file of a Neon branch holds. */
    static String written(Sandbox sandbox, String neonBranch) {
        String direct = sandbox.neon().connectionString(neonBranch);
        String computeId = sandbox.neon().branch(neonBranch).computes.get(0).id();
        return "DATABASE_URL=\"" + direct.replace(computeId, computeId + "-pooler") + "\"\nDATABASE_URL_UNPOOLED=\"" + direct + "\"\n";
    }

    /** Adds the build's branch as an anonymised one, as another run would have. */
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

    /** Fails if a text holds a secret. The failure does not show which: its own report must not hold one either. */
    static void assertNoSecret(Set<String> secrets, String... texts) {
        for (String text : texts) {
            assertFalse(secrets.stream().anyMatch(text::contains), "a secret stands in the output");
        }
    }
}

//SOURCES Cli.java
//SOURCES ../sandbox/Shell.java

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** What the tests of the commands are given: each a sandbox of its own, whose operations end at once, and a folder for an env file. */
abstract class InSandbox {

    @TempDir
    Path folder;

    /** The {@code .env} of the folder, which is not there yet. */
    Path envFile;

    final Sandbox sandbox = Sandbox.withoutPostgres();

    @BeforeEach
    void prepareSandbox() {
        envFile = folder.resolve(".env");
        sandbox.neon().operationsTake(Duration.ZERO);
    }

    @AfterEach
    void closeSandbox() {
        sandbox.close();
    }

    Cli.Result create(String... more) {
        return create(Map.of(), more);
    }

    /** Runs create-branch for the env file, with variables that differ from those of a build in the sandbox. */
    Cli.Result create(Map<String, String> changes, String... more) {
        return Cli.create(sandbox, changes, envFile, more);
    }

    Cli.Result cleanUp(String... more) {
        return cleanUp(Map.of(), more);
    }

    Cli.Result cleanUp(Map<String, String> changes, String... more) {
        return Cli.cleanUp(sandbox, changes, more);
    }

    Cli.Result run(String... args) {
        return Cli.run(sandbox, Map.of(), args);
    }

    /** Puts a file of masking rules into the folder, and returns its path. */
    Path rules() throws IOException {
        return Files.writeString(folder.resolve("rules.json"), Cli.RULES);
    }

    /** Runs neon-ci in the folder, as a process of its own with this environment, and fails if anything it says holds a secret. */
    Shell.Result process(Map<String, String> environment, String... args) {
        Shell.Result result = Shell.run(folder, environment, Shell.java(args));
        Cli.assertNoSecret(sandbox.secrets(), result.out(), result.err());
        return result;
    }

    /** Returns the requests to Neon so far whose method and path these regular expressions fit: the method whole, the path in a part. */
    List<Exchange> requests(String method, String path) {
        return sandbox.exchanges().stream().filter(exchange -> exchange.path().startsWith("/api/") && exchange.method().matches(method)
                && Pattern.compile(path).matcher(exchange.path()).find()).toList();
    }

    /** Returns how Neon answered those requests. */
    List<Integer> statuses(String method, String path) {
        return requests(method, path).stream().map(Exchange::status).toList();
    }

    /** Returns the requests that may have changed something at Neon. */
    List<Exchange> changes() {
        return requests("(?!GET$).*", "");
    }
}

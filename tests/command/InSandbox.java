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

/** Gives each test of the commands its own sandbox, whose operations end at once, and a folder for an env file. */
abstract class InSandbox {

    @TempDir
    Path folder;

    /** The {@code .env} in the folder, which does not exist yet. */
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

    /** Runs create-branch with the env file, and with variables that differ from those of a build in the sandbox. */
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

    /** Writes a file of masking rules to the folder. */
    Path rules() throws IOException {
        return Files.writeString(folder.resolve("rules.json"), Cli.RULES);
    }

    /** Runs neon-ci in the folder as a separate process with this environment. Fails if its output contains a secret. */
    Shell.Result process(Map<String, String> environment, String... args) {
        Shell.Result result = Shell.run(folder, environment, Shell.java(args));
        Cli.assertNoSecret(sandbox.secrets(), result.out(), result.err());
        return result;
    }

    /** Returns the requests to Neon so far whose whole method and part of whose path match these regular expressions. */
    List<Exchange> requests(String method, String path) {
        return sandbox.exchanges().stream().filter(exchange -> exchange.path().startsWith("/api/") && exchange.method().matches(method)
                && Pattern.compile(path).matcher(exchange.path()).find()).toList();
    }

    /** Returns the statuses of Neon's answers to those requests. */
    List<Integer> statuses(String method, String path) {
        return requests(method, path).stream().map(Exchange::status).toList();
    }

    /** Returns the requests to Neon that can change something. */
    List<Exchange> changes() {
        return requests("(?!GET$).*", "");
    }
}

//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java
//SOURCES Readme.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** The ways to have neon-ci: from a checkout, a catalog, a URL, an installed command, an exported jar, a copy in another repository. */
@Tag("slow")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class PackagingTest {

    private static final Path PROJECT = Path.of("").toAbsolutePath();
    private static final String JAR = "jbang-cli-0.132.1-all.jar";

    /** The loopback address by a name that JBang does not trust by itself, as it does localhost and 127.0.0.1. */
    private static final String WEB_HOST = "127.1";

    @TempDir
    static Path folder;

    private Path home;
    private Path checkout;
    private Path elsewhere;
    private Sandbox sandbox;
    private HttpServer web;

    @BeforeAll
    void checkOut() throws IOException {
        home = Files.createDirectory(folder.resolve("home"));
        elsewhere = Files.createDirectory(folder.resolve("else where"));
        checkout = Files.createDirectory(folder.resolve("checkout"));
        for (String part : List.of("neon-ci.java", "lib", "jbang-catalog.json", ".ci")) {
            Shell.copy(PROJECT.resolve(part), checkout.resolve(part));
        }
        Shell.copy(PROJECT.resolve(".ci/jbang"), home.resolve("bin/jbang"));
        sandbox = Sandbox.withoutPostgres();
        web = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        web.createContext("/v1.0.0/", exchange -> {
            Path file = checkout.resolve(exchange.getRequestURI().getPath().substring("/v1.0.0/".length()));
            boolean isThere = Files.isRegularFile(file);
            byte[] body = isThere ? Files.readAllBytes(file) : new byte[0];
            exchange.sendResponseHeaders(isThere ? 200 : 404, body.length == 0 ? -1 : body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        web.start();
    }

    @AfterAll
    void stop() {
        web.stop(0);
        sandbox.close();
    }

    @Test
    void runs_as_a_file_from_any_folder() throws IOException {
        assertCreates(elsewhere, "jbang", checkout.resolve("neon-ci.java").toString());
    }

    @Test
    void runs_as_a_program() throws IOException {
        assertCreates(checkout, "./neon-ci.java");
        assertEquals(2, run(checkout, "./neon-ci.java", "cleanup-branches", "--app-id", "X").exitCode());
    }

    @Test
    void runs_by_its_name_in_the_catalog() throws IOException {
        assertCreates(checkout, "jbang", "neon-ci");
    }

    @Test
    void runs_with_the_jbang_that_comes_with_it() throws IOException {
        assertCreates(checkout, ".ci/jbang", "neon-ci");
    }

    @Test
    void installs_as_a_command_from_a_checkout_where_there_is_no_jbang() throws IOException {
        Path fresh = Files.createDirectory(folder.resolve("fresh"));
        Map<String, String> environment = environment(fresh);
        environment.put("PATH", pathWithout("jbang"));
        Shell.Result installed = Shell.run(checkout, environment, "bash", "-ec", Readme.block("bash", ".ci/jbang app install"));
        assertEquals(0, installed.exitCode(), installed.err());
        assertTrue(Files.readString(fresh.resolve(".bashrc")).contains("export PATH=\"$HOME/.jbang/bin:$PATH\""));

        environment.put("PATH", fresh.resolve(".jbang/bin") + ":" + pathWithout("jbang"));
        assertCreates(elsewhere, environment, "neon-ci");
        assertUninstalls(environment, fresh.resolve(".jbang/bin/neon-ci"));
    }

    @Test
    void installs_as_a_command_from_a_catalog_and_leaves_the_users_shell_alone() throws IOException {
        Path fresh = Files.createDirectory(folder.resolve("fresh-too"));
        Files.writeString(fresh.resolve(".bashrc"), "# mine\n");
        Map<String, String> environment = environment(fresh);
        String line = quoted("jbang app install").replace("https://github.com/OWNER/neon-ci", address())
                .replace("neon-ci@OWNER/neon-ci/v1.0.0", "neon-ci@" + address() + "jbang-catalog.json");
        Shell.Result installed = run(elsewhere, environment, "bash", "-ec", line);
        assertEquals(0, installed.exitCode(), installed.err());
        assertCreates(elsewhere, environment, "neon-ci");
        assertEquals("# mine\n", Files.readString(fresh.resolve(".bashrc")));
        assertFalse(Files.exists(fresh.resolve(".zshrc")));
        assertUninstalls(environment, fresh.resolve(".jbang/bin/neon-ci"));
    }

    private void assertUninstalls(Map<String, String> environment, Path command) throws IOException {
        assertTrue(Files.isExecutable(command));
        Shell.Result uninstalled = run(elsewhere, environment, "bash", "-ec", quoted("jbang app uninstall"));
        assertEquals(0, uninstalled.exitCode(), uninstalled.err());
        assertFalse(Files.exists(command));
    }

    /** Returns the README's line, in a sentence, that has this in it. */
    private static String quoted(String part) {
        return Readme.quoted(Readme.TEXT).stream().filter(code -> code.contains(part)).findFirst().orElseThrow();
    }

    @Test
    void exports_to_a_jar_that_needs_java_alone() throws IOException {
        Path jar = elsewhere.resolve("neon-ci.jar");
        Shell.Result exported = run(checkout, "jbang", "export", "portable", "--force", "--output", jar.toString(), "neon-ci.java");
        assertEquals(0, exported.exitCode(), exported.err());
        assertCreates(elsewhere, Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-jar", jar.toString());
    }

    @Test
    void runs_from_a_url_and_from_a_catalog_at_a_url_once_that_is_trusted() throws IOException {
        Shell.Result distrusted = run(elsewhere, "jbang", address() + "neon-ci.java", "--version");
        assertNotEquals(0, distrusted.exitCode());
        assertEquals("", distrusted.out());

        assertEquals(0, run(elsewhere, "jbang", "trust", "add", address()).exitCode());
        assertCreates(elsewhere, "jbang", address() + "neon-ci.java");
        assertCreates(elsewhere, "jbang", "neon-ci@" + address() + "jbang-catalog.json");
    }

    @Test
    void runs_from_a_copy_in_a_repository_with_a_lib_of_its_own() throws IOException {
        Path repository = Files.createDirectory(folder.resolve("shop"));
        Files.createDirectory(repository.resolve("lib"));
        Files.writeString(repository.resolve("lib/Cart.java"), "class Cart { this is not even Java }");
        Files.writeString(repository.resolve("lib/index.ts"), "export {}");
        Shell.copy(PROJECT.resolve("neon-ci.java"), repository.resolve("neon-ci.java"));
        Shell.copy(PROJECT.resolve("lib"), repository.resolve("lib"));
        assertCreates(repository, "jbang", "neon-ci.java");
    }

    @Test
    void jbang_for_a_machine_that_has_none_passes_everything_on() throws IOException {
        Path script = Files.writeString(folder.resolve("Say.java"), """
                //JAVA 17+
                class Say {
                    public static void main(String... args) throws Exception {
                        System.out.print(String.join("|", args) + "|" + new String(System.in.readAllBytes()));
                        System.exit(7);
                    }
                }
                """);
        Files.writeString(folder.resolve("input"), "in");
        Shell.Result result = run(elsewhere, "bash", "-c", "exec \"$@\" < '" + folder.resolve("input") + "'", "-",
                checkout.resolve(".ci/jbang").toString(), script.toString(), "two words", "it's \"it\"", "*", "$HOME", "a\\b");
        assertEquals("two words|it's \"it\"|*|$HOME|a\\b|in", result.out());
        assertEquals(7, result.exitCode());
    }

    @Test
    void jbang_for_a_machine_that_has_none_fetches_itself_whole_even_twice_at_once() throws IOException {
        assumeTrue(Shell.isOnPath("mvn"), "Maven is not on the PATH");
        Path jbangDir = Files.createDirectory(folder.resolve("jbang dir"));
        Path jar = Files.writeString(jbangDir.resolve(JAR), "half a jar");
        Map<String, String> environment = Map.of("JBANG_DIR", jbangDir.toString(), "PATH", pathWithout("jbang"));
        Shell.Result both = Shell.run(elsewhere, environment, "bash", "-c",
                "\"$1\" --version & first=$!; \"$1\" --version && wait $first", "-", checkout.resolve(".ci/jbang").toString());
        assertEquals(0, both.exitCode(), both.err());
        assertTrue((both.out() + both.err()).endsWith("0.132.1\n0.132.1\n"), both.err());
        assertTrue(Files.size(jar) > 1_000_000);
        try (Stream<Path> left = Files.list(jbangDir)) {
            assertEquals(List.of(), left.filter(file -> file.getFileName().toString().startsWith("fetch.")).toList());
        }
    }

    @Test
    void jbang_for_a_machine_that_has_none_comes_from_its_installer_where_there_is_no_java() throws IOException {
        Path calls = folder.resolve("calls");
        Map<String, String> environment = Map.of("JAVA_HOME", "", "PATH", toolsWithCurl("""
                echo "$@" >> "$CALLS"
                cat <<'INSTALLER'
                echo "$JBANG_DOWNLOAD_VERSION $JBANG_DEFAULT_JAVA_VERSION $@" >> "$CALLS"
                mkdir -p "$JBANG_DIR/bin"
                printf '#!/usr/bin/env bash\nprintf "<%%s>" "$@"; exit 7\n' > "$JBANG_DIR/bin/jbang"
                chmod +x "$JBANG_DIR/bin/jbang"
                INSTALLER
                """), "CALLS", calls.toString(), "JBANG_DIR", folder.resolve("installed").toString());
        for (int times = 0; times < 2; times++) {
            Shell.Result result = Shell.run(elsewhere, environment, checkout.resolve(".ci/jbang").toString(), "two words", "*", "");
            assertEquals("<two words><*><>", result.out(), result.err());
            assertEquals(7, result.exitCode());
        }
        assertEquals("-fsSL https://sh.jbang.dev\n0.132.1 17 version\n", Files.readString(calls));
    }

    @Test
    void jbang_for_a_machine_that_has_none_says_in_a_sentence_that_it_cannot_be_had() throws IOException {
        Map<String, String> environment = new HashMap<>(Map.of("JAVA_HOME", "", "JBANG_DIR", folder.resolve("none").toString(), "PATH",
                toolsWithCurl("echo 'curl: (6) Could not resolve host: sh.jbang.dev' >&2; exit 6")));
        assertFails(environment, "(there is no Java on the PATH)", "(curl: (6) Could not resolve host: sh.jbang.dev)");
        environment.put("JAVA_HOME", System.getProperty("java.home"));
        assertFails(environment, "(there is no mvn on the PATH)", "(curl: (6) Could not resolve host: sh.jbang.dev)");
        environment.put("PATH", toolsWithCurl("echo 'echo Downloading JBang; echo No tar here >&2; exit 3'"));
        assertFails(environment, "(there is no mvn on the PATH)", "(No tar here)");
    }

    private void assertFails(Map<String, String> environment, String maven, String installer) {
        Shell.Result result = Shell.run(elsewhere, environment, checkout.resolve(".ci/jbang").toString(), "neon-ci.java", "create-branch");
        assertEquals("Installing JBang 0.132.1\nJBang 0.132.1 could be had neither from Maven Central " + maven
                + " nor from https://sh.jbang.dev " + installer + "; let this machine reach one of them, or put JBang on its PATH.\n",
                result.err());
        assertEquals("", result.out());
        assertEquals(1, result.exitCode());
    }

    /** Returns a PATH on which there is this curl and little more, and no Java. */
    private static String toolsWithCurl(String curl) throws IOException {
        Path tools = Files.createTempDirectory(folder, "tools");
        for (String tool : List.of("bash", "env", "cat", "chmod", "grep", "mkdir")) {
            Shell.copy(Shell.onPath(tool).toRealPath(), tools.resolve(tool));
        }
        assertTrue(Files.writeString(tools.resolve("curl"), "#!/usr/bin/env bash\n" + curl).toFile().setExecutable(true));
        return tools.toString();
    }

    /** A build has a cache of its own, which its buildspec need not name; nobody else's home folder is left for it. */
    @Test
    void keeps_all_in_a_builds_folder_unless_told_otherwise() throws IOException {
        Path real = Files.createDirectory(folder.resolve("telling")).resolve("jbang");
        Files.writeString(real, "#!/usr/bin/env bash\necho \"$JBANG_DIR ${JBANG_REPO-none}\"\n");
        assertTrue(real.toFile().setExecutable(true));
        String path = real.getParent() + ":" + System.getenv("PATH");
        Path place = Files.createDirectory(folder.resolve("build"));
        Map<String, String> none = Map.of("PATH", path, "HOME", place.resolve("home").toString(), "JBANG_DIR", "", "JBANG_REPO", "",
                "CI", "", "AWS_JOB_ID", "");
        Map<Map<String, String>, String> expected = Map.of(
                Map.of(), place + "/home/.jbang ",
                Map.of("CI", "true"), place + "/.jbang " + place + "/.jbang/repository",
                Map.of("AWS_JOB_ID", "x"), place + "/.jbang " + place + "/.jbang/repository",
                Map.of("CI", "true", "JBANG_DIR", "mine"), place + "/mine ",
                Map.of("CI", "true", "JBANG_REPO", "/repo"), place + "/.jbang /repo");
        expected.forEach((given, said) -> {
            Map<String, String> environment = new HashMap<>(none);
            environment.putAll(given);
            Shell.Result result = Shell.run(place, environment, checkout.resolve(".ci/jbang").toString());
            assertEquals(said + "\n", result.out(), result.err());
        });
    }

    @Test
    void jbang_for_a_machine_that_has_none_tries_again_once_what_it_could_not_do() throws IOException {
        Path jbangDir = Files.createDirectory(folder.resolve("trying"));
        Files.createDirectory(jbangDir.resolve("bin"));
        Files.writeString(jbangDir.resolve("bin/jbang.jar"), "");
        Path java = Files.createDirectories(folder.resolve("jdk/bin")).resolve("java");
        Files.writeString(java, "#!/usr/bin/env bash\necho >> tries; [ $(wc -l < tries) -lt $TRIES ] && exit 1; echo \"echo 'it'\\''s' done\"; exit 255\n");
        Path real = jbangDir.resolve("bin/jbang");
        Files.writeString(real, "#!/usr/bin/env bash\nexit 9\n");
        assertTrue(java.toFile().setExecutable(true) && real.toFile().setExecutable(true));
        Map<String, String> environment = new HashMap<>(Map.of("PATH", pathWithout("jbang"), "JBANG_DIR", jbangDir.toString(),
                "JAVA_HOME", folder.resolve("jdk").toString(), "TRIES", "2"));
        Path place = Files.createDirectory(folder.resolve("tries"));
        Shell.Result second = Shell.run(place, environment, checkout.resolve(".ci/jbang").toString(), "x.java");
        assertEquals("it's done\n", second.out(), second.err());
        assertEquals("JBang failed; trying once more\n", second.err());
        environment.put("TRIES", "5");
        assertEquals(1, Shell.run(place, environment, checkout.resolve(".ci/jbang").toString(), "x.java").exitCode());
        assertEquals(4, Files.readAllLines(place.resolve("tries")).size());
    }

    @Test
    void jbang_for_a_machine_that_has_none_is_the_one_on_the_path_and_never_itself() throws IOException {
        Path copy = folder.resolve("copy/jbang");
        Shell.copy(PROJECT.resolve(".ci/jbang"), copy);
        Path real = Files.createDirectory(folder.resolve("real")).resolve("jbang");
        Files.writeString(real, "#!/usr/bin/env bash\nprintf '<%s>' \"$@\"; exit 7\n");
        assertTrue(real.toFile().setExecutable(true));
        String path = String.join(":", checkout.resolve(".ci").toString(), copy.getParent().toString(), real.getParent().toString(),
                System.getenv("PATH"));
        Shell.Result result = Shell.run(elsewhere, Map.of("PATH", path), copy.toString(), "two words");
        assertEquals("<two words>", result.out(), result.err());
        assertEquals(7, result.exitCode());
    }

    /** Runs create-branch this way in this folder, and expects the branch and an env file. */
    private void assertCreates(Path where, String... command) throws IOException {
        assertCreates(where, environment(home), command);
    }

    private void assertCreates(Path where, Map<String, String> environment, String... command) throws IOException {
        List<String> all = new ArrayList<>(List.of(command));
        all.add("create-branch");
        Shell.Result result = run(where, environment, all.toArray(String[]::new));
        assertEquals(0, result.exitCode(), result.err());
        assertTrue(result.out().contains(sandbox.neon().branch(SandboxAws.APP_ID + "-feature/login").id), result.out());
        assertTrue(Files.readString(where.resolve(".env")).matches("DATABASE_URL=\"\\S+\"\nDATABASE_URL_UNPOOLED=\"\\S+\"\n"));
        Files.delete(where.resolve(".env"));
    }

    private Shell.Result run(Path where, String... command) throws IOException {
        return run(where, environment(home), command);
    }

    private Shell.Result run(Path where, Map<String, String> environment, String... command) {
        // ProcessBuilder looks for a program on this process's PATH, not on the child's.
        String[] found = Stream.concat(Stream.of("/usr/bin/env"), Stream.of(command)).toArray(String[]::new);
        Shell.Result result = Shell.run(where, environment, found);
        Cli.assertNoSecret(sandbox.secrets(), result.out(), result.err());
        return result;
    }

    /** Returns the environment of a user whose home folder this is, with the JBang that these tests run on already fetched. */
    private Map<String, String> environment(Path home) throws IOException {
        Path jar = Path.of(System.getenv().getOrDefault("JBANG_DIR", System.getProperty("user.home") + "/.jbang"), JAR);
        if (Files.exists(jar) && !Files.exists(home.resolve(".jbang"))) {
            Shell.copy(jar, home.resolve(".jbang").resolve(JAR));
        }
        Map<String, String> environment = sandbox.environment(Map.of("HOME", home.toString()));
        environment.put("JBANG_DIR", home.resolve(".jbang").toString());
        // JBang looks for the shell's start-up files where Java says the home folder is.
        environment.put("JBANG_JAVA_OPTIONS", "-Duser.home=" + home);
        environment.put("JBANG_REPO", System.getenv().getOrDefault("JBANG_REPO", System.getProperty("user.home") + "/.m2/repository"));
        environment.put("PATH", this.home.resolve("bin") + ":" + home.resolve(".jbang/bin") + ":" + System.getenv("PATH"));
        return environment;
    }

    /** Returns where the checkout lies on the web. */
    private String address() {
        return "http://" + WEB_HOST + ":" + web.getAddress().getPort() + "/v1.0.0/";
    }

    private static String pathWithout(String program) {
        return Stream.of(System.getenv("PATH").split(":")).filter(place -> !Files.isExecutable(Path.of(place, program)))
                .collect(Collectors.joining(":"));
    }
}

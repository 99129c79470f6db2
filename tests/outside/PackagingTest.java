//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java

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
import java.nio.file.StandardCopyOption;
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
        Files.writeString(home.resolve(".bashrc"), "# mine\n");
        Files.writeString(home.resolve(".profile"), "# mine\n");
        elsewhere = Files.createDirectory(folder.resolve("else where"));
        checkout = Files.createDirectory(folder.resolve("checkout"));
        for (String part : List.of("neon-ci.java", "lib", "jbang-catalog.json", ".ci")) {
            copy(PROJECT.resolve(part), checkout.resolve(part));
        }
        copy(PROJECT.resolve(".ci/jbang"), home.resolve("bin/jbang"));
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
    void installs_as_a_command_and_leaves_the_users_shell_alone() throws IOException {
        Shell.Result installed = run(elsewhere, "jbang", "app", "install", "neon-ci@" + checkout.resolve("jbang-catalog.json"));
        assertEquals(0, installed.exitCode(), installed.err());
        assertCreates(elsewhere, "neon-ci");
        assertEquals(0, run(checkout, "jbang", "app", "uninstall", "neon-ci").exitCode());
        assertFalse(Files.exists(home.resolve(".jbang/bin/neon-ci")));
        assertEquals("# mine\n", Files.readString(home.resolve(".bashrc")));
        assertEquals("# mine\n", Files.readString(home.resolve(".profile")));
        assertFalse(Files.exists(home.resolve(".zshrc")));
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
        String address = "http://" + WEB_HOST + ":" + web.getAddress().getPort() + "/v1.0.0/";
        Shell.Result distrusted = run(elsewhere, "jbang", address + "neon-ci.java", "--version");
        assertNotEquals(0, distrusted.exitCode());
        assertEquals("", distrusted.out());

        assertEquals(0, run(elsewhere, "jbang", "trust", "add", address).exitCode());
        assertCreates(elsewhere, "jbang", address + "neon-ci.java");
        assertCreates(elsewhere, "jbang", "neon-ci@" + address + "jbang-catalog.json");
    }

    @Test
    void runs_from_a_copy_in_a_repository_with_a_lib_of_its_own() throws IOException {
        Path repository = Files.createDirectory(folder.resolve("shop"));
        Files.createDirectory(repository.resolve("lib"));
        Files.writeString(repository.resolve("lib/Cart.java"), "class Cart { this is not even Java }");
        Files.writeString(repository.resolve("lib/index.ts"), "export {}");
        copy(PROJECT.resolve("neon-ci.java"), repository.resolve("neon-ci.java"));
        copy(PROJECT.resolve("lib"), repository.resolve("lib"));
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
        assumeTrue(isOnPath("mvn"), "Maven is not on the PATH");
        Path jbangDir = Files.createDirectory(folder.resolve("jbang dir"));
        Path jar = Files.writeString(jbangDir.resolve("jbang-cli-0.132.1-all.jar"), "half a jar");
        Map<String, String> environment = Map.of("JBANG_DIR", jbangDir.toString(), "PATH", pathWithout("jbang"));
        Shell.Result both = Shell.run(elsewhere, environment, "bash", "-c",
                "\"$1\" --version & first=$!; \"$1\" --version && wait $first", "-", checkout.resolve(".ci/jbang").toString());
        assertEquals(0, both.exitCode(), both.err());
        assertTrue(both.err().endsWith("0.132.1\n0.132.1\n"), both.err());
        assertTrue(Files.size(jar) > 1_000_000);
        try (Stream<Path> left = Files.list(jbangDir)) {
            assertEquals(List.of(), left.filter(file -> file.getFileName().toString().startsWith("fetch.")).toList());
        }
    }

    @Test
    void jbang_for_a_machine_that_has_none_comes_from_its_installer_where_there_is_no_java() throws IOException {
        Path tools = Files.createDirectory(folder.resolve("tools"));
        for (String tool : List.of("bash", "env", "cat", "chmod", "grep", "mkdir")) {
            Files.copy(onPath(tool).findFirst().orElseThrow(), tools.resolve(tool), StandardCopyOption.COPY_ATTRIBUTES);
        }
        Path curl = Files.writeString(tools.resolve("curl"), """
                #!/usr/bin/env bash
                echo "$@" >> "$CALLS"
                cat <<'INSTALLER'
                echo "$JBANG_DOWNLOAD_VERSION $@" >> "$CALLS"
                mkdir -p "$JBANG_DIR/bin"
                printf '#!/usr/bin/env bash\nprintf "<%%s>" "$@"; exit 7\n' > "$JBANG_DIR/bin/jbang"
                chmod +x "$JBANG_DIR/bin/jbang"
                INSTALLER
                """);
        assertTrue(curl.toFile().setExecutable(true));
        Path calls = folder.resolve("calls");
        Map<String, String> environment = Map.of("JAVA_HOME", "", "PATH", tools.toString(), "CALLS", calls.toString(),
                "JBANG_DIR", folder.resolve("installed").toString());
        for (int times = 0; times < 2; times++) {
            Shell.Result result = Shell.run(elsewhere, environment, checkout.resolve(".ci/jbang").toString(), "two words", "*", "");
            assertEquals("<two words><*><>", result.out(), result.err());
            assertEquals(7, result.exitCode());
        }
        assertEquals("-fsSL https://sh.jbang.dev\n0.132.1 version\n", Files.readString(calls));
    }

    @Test
    void jbang_for_a_machine_that_has_none_is_the_one_on_the_path_and_never_itself() throws IOException {
        Path copy = folder.resolve("copy/jbang");
        copy(PROJECT.resolve(".ci/jbang"), copy);
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
        List<String> all = new ArrayList<>(List.of(command));
        all.add("create-branch");
        Shell.Result result = run(where, all.toArray(String[]::new));
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(sandbox.neon().branch(SandboxAws.APP_ID + "-feature/login").id + "\n", result.out());
        assertTrue(Files.readString(where.resolve(".env")).matches("DATABASE_URL=\"\\S+\"\nDATABASE_URL_UNPOOLED=\"\\S+\"\n"));
        Files.delete(where.resolve(".env"));
    }

    private Shell.Result run(Path where, String... command) {
        Map<String, String> environment = new HashMap<>(sandbox.environment());
        environment.put("HOME", home.toString());
        // JBang looks for the shell's start-up files where Java says the home folder is.
        environment.put("JBANG_JAVA_OPTIONS", "-Duser.home=" + home);
        environment.put("JBANG_DIR", home.resolve(".jbang").toString());
        environment.put("JBANG_REPO", System.getenv().getOrDefault("JBANG_REPO", System.getProperty("user.home") + "/.m2/repository"));
        environment.put("PATH", home.resolve("bin") + ":" + home.resolve(".jbang/bin") + ":" + System.getenv("PATH"));
        // ProcessBuilder looks for a program on this process's PATH, not on the child's.
        Shell.Result result = Shell.run(where, environment, Stream.concat(Stream.of("/usr/bin/env"), Stream.of(command)).toArray(String[]::new));
        Cli.assertNoSecret(sandbox.secrets(), result.out(), result.err());
        return result;
    }

    private static boolean isOnPath(String program) {
        return onPath(program).findAny().isPresent();
    }

    private static Stream<Path> onPath(String program) {
        return Stream.of(System.getenv("PATH").split(":")).map(place -> Path.of(place, program)).filter(Files::isExecutable);
    }

    private static String pathWithout(String program) {
        return Stream.of(System.getenv("PATH").split(":")).filter(place -> !Files.isExecutable(Path.of(place, program)))
                .collect(Collectors.joining(":"));
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.createDirectories(to.getParent());
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Path target = to.resolve(from.relativize(file).toString());
                Files.createDirectories(target.getParent());
                Files.copy(file, target, StandardCopyOption.COPY_ATTRIBUTES);
            }
        }
    }
}

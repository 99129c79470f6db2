//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java
//SOURCES Readme.java
//SOURCES Web.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The ways to run neon-ci: from a checkout, a URL, an installed command, a copy in another repository; and the wrapper. */
@Tag("slow")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class PackagingTest {

    private static final Path PROJECT = Path.of("").toAbsolutePath();
    private static final String JAR = "jbang-cli-0.132.1-all.jar";

    @TempDir
    static Path folder;

    private Path home;
    private Path checkout;
    private Path elsewhere;
    private String wrapper;
    private Sandbox sandbox;
    private Web web;

    @BeforeAll
    void checkOut() throws IOException {
        home = Files.createDirectory(folder.resolve("home"));
        elsewhere = Files.createDirectory(folder.resolve("else where"));
        checkout = Files.createDirectory(folder.resolve("neon-ci"));
        for (String part : List.of("neon-ci.java", "lib", "jbang-catalog.json", ".ci")) {
            Shell.copy(PROJECT.resolve(part), checkout.resolve(part));
        }
        wrapper = checkout.resolve(".ci/jbang").toString();
        Shell.copy(Path.of(wrapper), home.resolve("bin/jbang"));
        sandbox = Sandbox.withoutPostgres();
        web = new Web(checkout, false);
    }

    @AfterAll
    void stop() {
        web.close();
        sandbox.close();
    }

    @Test
    void runs_from_a_checkout() throws IOException {
        assertCreates(elsewhere, "jbang", checkout.resolve("neon-ci.java").toString());
        assertCreates(checkout, "jbang", "neon-ci");
        assertCreates(checkout, "./neon-ci.java");
        assertEquals(2, run(checkout, environment(home), "./neon-ci.java", "cleanup-branches", "--app-id", "X").exitCode());
    }

    /** A repository of a Python project: its .gitignore excludes lib/ and ends without a line end, and it has its own lib. */
    @Test
    void runs_from_the_readmes_copy_in_the_root_and_in_a_monorepos_app() throws IOException {
        Path repository = Files.createDirectory(folder.resolve("shop"));
        Files.createDirectories(repository.resolve("lib"));
        Files.writeString(repository.resolve("lib/Aws.java"), "this is not Java");
        Files.writeString(repository.resolve(".gitignore"), "build/\nlib/");
        Shell.Result copied = Shell.run(repository, Map.of("HOME", home.toString()), "bash", "-ec", "git init -q\n"
                + Readme.block("bash", "mkdir .neon-ci") + "git ls-files --stage | sed 's/ .*\t/ /'\n"
                + "git check-ignore .env .env.local .jbang/repository lib/Aws.java\n");
        assertEquals(0, copied.exitCode(), copied.err());
        List<String> files = new ArrayList<>(List.of("100644 .gitignore", "100755 .neon-ci/jbang"));
        try (Stream<Path> lib = Files.list(PROJECT.resolve("lib"))) {
            lib.sorted().forEach(file -> files.add("100644 .neon-ci/lib/" + file.getFileName()));
        }
        files.addAll(List.of("100755 .neon-ci/neon-ci.java", ".env", ".env.local", ".jbang/repository", "lib/Aws.java"));
        assertEquals(files, copied.out().lines().toList());
        assertCreates(repository, Readme.COMMAND.split(" "));
        assertCreates(Files.createDirectories(repository.resolve("apps/web")), Readme.quotedWith("../../.neon-ci/jbang").split(" "));
    }

    @Test
    void installs_as_a_command_from_a_checkout_where_there_is_no_jbang() throws IOException {
        Path user = Files.createDirectory(folder.resolve("user"));
        Map<String, String> environment = environment(user);
        environment.put("PATH", user.resolve(".jbang/bin") + ":" + pathWithout("jbang"));
        assertInstalls(user, environment, Readme.quotedWith("app install \"$PWD") + "\n" + Readme.quotedWith("cp .ci/jbang"));
    }

    @Test
    void installs_as_a_command_from_a_catalog() throws IOException {
        Path user = Files.createDirectory(folder.resolve("another-user"));
        assertInstalls(user, environment(user), web.replaceCatalog(Readme.quotedWith("jbang trust add")));
    }

    private void assertInstalls(Path user, Map<String, String> environment, String script) throws IOException {
        Shell.Result installed = run(checkout, environment, "bash", "-ec", script);
        assertEquals(0, installed.exitCode(), installed.err());
        assertCreates(elsewhere, environment, "neon-ci");
        Path command = user.resolve(".jbang/bin/neon-ci");
        assertTrue(Files.isExecutable(command));
        Shell.Result uninstalled = run(elsewhere, environment, "bash", "-ec", Readme.quotedWith("jbang app uninstall"));
        assertEquals(0, uninstalled.exitCode(), uninstalled.err());
        assertFalse(Files.exists(command));
    }

    @Test
    void runs_from_a_url_that_is_trusted() throws IOException {
        Map<String, String> environment = environment(home);
        Shell.Result untrusted = run(elsewhere, environment, "jbang", web.address() + "neon-ci.java", "--version");
        assertNotEquals(0, untrusted.exitCode());
        assertEquals("", untrusted.out());
        assertEquals(0, run(elsewhere, environment, "jbang", "trust", "add", web.address()).exitCode());
        assertCreates(elsewhere, "jbang", web.address() + "neon-ci.java");
    }

    @Test
    void the_wrapper_passes_arguments_input_and_exit_code() throws IOException {
        Path script = Files.writeString(folder.resolve("Echo.java"), """
                //JAVA 17+
                class Echo {
                    public static void main(String... args) throws Exception {
                        System.out.print(String.join("|", args) + "|" + new String(System.in.readAllBytes()));
                        System.exit(7);
                    }
                }
                """);
        Files.writeString(folder.resolve("input"), "in");
        Shell.Result result = run(elsewhere, environment(home), "bash", "-c", "exec \"$@\" < '" + folder.resolve("input") + "'", "-",
                wrapper, script.toString(), "two words", "it's \"it\"", "*", "$HOME", "a\\b");
        assertEquals("two words|it's \"it\"|*|$HOME|a\\b|in", result.out());
        assertEquals(7, result.exitCode());
    }

    @Test
    void the_wrapper_downloads_a_complete_jbang_even_in_parallel_runs() throws IOException {
        assumeTrue(Shell.isOnPath("mvn"), "Maven is not on the PATH");
        Path jbangDir = Files.createDirectory(folder.resolve("jbang dir"));
        Path jar = Files.writeString(jbangDir.resolve(JAR), "half a jar");
        Map<String, String> environment = Map.of("JBANG_DIR", jbangDir.toString(), "PATH", pathWithout("jbang"));
        Shell.Result both = Shell.run(elsewhere, environment, "bash", "-c",
                "\"$1\" --version & first=$!; \"$1\" --version && wait $first", "-", wrapper);
        assertEquals(0, both.exitCode(), both.err());
        assertTrue((both.out() + both.err()).endsWith("0.132.1\n0.132.1\n"), both.err());
        assertTrue(Files.size(jar) > 1_000_000);
        try (Stream<Path> files = Files.list(jbangDir)) {
            assertEquals(List.of(), files.filter(file -> file.getFileName().toString().startsWith("download.")).toList());
        }
    }

    @Test
    void the_wrapper_says_why_it_could_not_get_jbang() throws IOException {
        String noHost = "echo 'curl: (6) Could not resolve host: sh.jbang.dev' >&2; exit 6";
        assertFails("", noHost, "(there is no Java on the PATH)", "(curl: (6) Could not resolve host: sh.jbang.dev)");
        String java = System.getProperty("java.home");
        assertFails(java, noHost, "(there is no mvn on the PATH)", "(curl: (6) Could not resolve host: sh.jbang.dev)");
        assertFails(java, "echo 'echo Downloading JBang; echo No tar here >&2; exit 3'", "(there is no mvn on the PATH)", "(No tar here)");
    }

    /** Runs the wrapper where there is little more than this curl. */
    private void assertFails(String javaHome, String curl, String maven, String installer) throws IOException {
        Path tools = Files.createTempDirectory(folder, "tools");
        for (String tool : List.of("bash", "env", "cat", "chmod", "grep", "mkdir")) {
            Shell.copy(Shell.onPath(tool).toRealPath(), tools.resolve(tool));
        }
        program(tools.resolve("curl"), curl);
        Map<String, String> environment = Map.of("JAVA_HOME", javaHome, "JBANG_DIR", folder.resolve("none").toString(), "PATH",
                tools.toString());
        Shell.Result result = Shell.run(elsewhere, environment, wrapper, "neon-ci.java", "create-branch");
        assertEquals("Installing JBang 0.132.1\nCould not get JBang 0.132.1 from Maven Central " + maven + " or from https://sh.jbang.dev "
                + installer + ". Allow this machine to connect to one of them, or install JBang.\n", result.err());
        assertEquals("", result.out());
        assertEquals(1, result.exitCode());
    }

    @ParameterizedTest
    @CsvSource(textBlock = """
            CI=                         | HOME/.jbang none
            CI=true                     | BUILD/.jbang BUILD/.jbang/repository
            AWS_JOB_ID=1                | BUILD/.jbang BUILD/.jbang/repository
            CI=true JBANG_DIR=mine      | BUILD/mine none
            CI=true JBANG_REPO=/repo    | BUILD/.jbang /repo
            """, delimiter = '|')
    void the_wrapper_keeps_everything_in_the_builds_folder_unless_variables_say_otherwise(String variables, String printed)
            throws IOException {
        Path printing = program(folder.resolve("printing/jbang"), "echo \"$JBANG_DIR ${JBANG_REPO-none}\"");
        Path build = Files.createDirectories(folder.resolve("build"));
        Shell.Result result = Shell.run(build, Map.of("PATH", printing.getParent() + ":" + System.getenv("PATH"), "HOME", home.toString()),
                "bash", "-c", variables + " '" + wrapper + "'");
        assertEquals(printed.replace("BUILD", build.toString()).replace("HOME", home.toString()) + "\n", result.out(), result.err());
    }

    /** Maven Central answers 502 now and then. */
    @Test
    void the_wrapper_retries_downloads_and_prints_a_compile_error_once() throws IOException {
        Path artifact = Files.createDirectories(folder.resolve("flaky/g/a/1"));
        Files.writeString(artifact.resolve("a-1.pom"), "<project><modelVersion>4.0.0</modelVersion><groupId>g</groupId>"
                + "<artifactId>a</artifactId><version>1</version></project>");
        new ZipOutputStream(Files.newOutputStream(artifact.resolve("a-1.jar"))).close();
        try (Web flaky = new Web(folder.resolve("flaky"), true)) {
            Path script = Files.writeString(folder.resolve("Wrong.java"),
                    "//REPOS r=" + flaky.address().replace("127.1", "localhost") + "\n//DEPS g:a:1\nclass Wrong { no_such_type x; }\n");
            Map<String, String> environment = environment(home);
            environment.put("JBANG_REPO", folder.resolve("empty").toString());
            Shell.Result result = run(elsewhere, environment, wrapper, script.toString());
            assertEquals(1, result.exitCode(), result.err());
            assertTrue(result.err().contains("Dependencies resolved"), result.err());
            assertEquals(1, result.err().split("error: cannot find symbol", -1).length - 1, result.err());
        }
    }

    @Test
    void the_wrapper_prefers_a_real_jbang_on_the_path_to_itself() throws IOException {
        Path copy = folder.resolve("copy/jbang");
        Shell.copy(Path.of(wrapper), copy);
        Path real = program(folder.resolve("real/jbang"), "printf '<%s>' \"$@\"; exit 7");
        String path = Stream.of(Path.of(wrapper), copy, real).map(file -> file.getParent() + ":").collect(Collectors.joining());
        Shell.Result result = Shell.run(elsewhere, Map.of("PATH", path + System.getenv("PATH")), copy.toString(), "two words");
        assertEquals("<two words>", result.out(), result.err());
        assertEquals(7, result.exitCode());
    }

    private static Path program(Path file, String script) throws IOException {
        Files.createDirectories(file.getParent());
        assertTrue(Files.writeString(file, "#!/usr/bin/env bash\n" + script + "\n").toFile().setExecutable(true));
        return file;
    }

    /** Runs create-branch this way in this folder, and expects the branch and an env file. */
    private void assertCreates(Path where, String... command) throws IOException {
        assertCreates(where, environment(home), command);
    }

    private void assertCreates(Path where, Map<String, String> environment, String... command) throws IOException {
        Shell.Result result = run(where, environment, Stream.concat(Stream.of(command), Stream.of("create-branch")).toArray(String[]::new));
        assertEquals(0, result.exitCode(), result.err());
        assertTrue(result.out().contains(sandbox.neon().branch(SandboxAws.APP_ID + "-feature/login").id), result.out());
        assertTrue(Files.readString(where.resolve(".env")).matches("DATABASE_URL=\"\\S+\"\nDATABASE_URL_UNPOOLED=\"\\S+\"\n"));
        Files.delete(where.resolve(".env"));
    }

    private Shell.Result run(Path where, Map<String, String> environment, String... command) {
        // ProcessBuilder looks for a program on this process's PATH, not on the child's.
        String[] found = Stream.concat(Stream.of("/usr/bin/env"), Stream.of(command)).toArray(String[]::new);
        Shell.Result result = Shell.run(where, environment, found);
        Cli.assertNoSecret(sandbox.secrets(), result.out(), result.err());
        return result;
    }

    /** Returns the environment of a user with this home folder and with the JBang that the tests run on. */
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

    private static String pathWithout(String program) {
        return Stream.of(System.getenv("PATH").split(":")).filter(place -> !Files.isExecutable(Path.of(place, program)))
                .collect(Collectors.joining(":"));
    }
}

//DEPS io.github.cdimascio:dotenv-java:3.2.0
//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java
//SOURCES Npm.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.cdimascio.dotenv.Dotenv;
import io.github.cdimascio.dotenv.DotenvException;
import java.io.IOException;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import software.amazon.awssdk.utils.http.SdkHttpUtils;

/**
 * What {@code create-branch} writes is read back the same by the tools that read env files, whatever the file was before and whatever the
 * password is, and they read everything else in it as they did before.
 */
@Tag("slow")
class EnvFileReadersTest {

    private static final String[] PACKAGES = {"dotenv@18.0.10", "@next/env@16.4.6", "vite@8.3.8"};
    private static final String NODE_22 = "22.23.3";
    private static final String NODE_24 = "24.21.0";

    /** Each character that a connection string must encode, or that a shell or a parser of env files acts upon. */
    private static final String PASSWORD = "npg_$\"'`\\@/#+ :?%&=;{}[]()<>^|~!*,é日😀$HOME${HOME}$(id)%20\\n";

    /** What may stand raw in an answer of Neon's: whatever does not give the string another meaning. */
    private static final String RAW_PASSWORD = "npg_$\"'`\\+ &=;{}()<>^|~!*,é日😀$HOME${HOME}$(id)\\n";

    /** What the file was before, with octal escapes for its bytes, and by whose rules no entry of ours can be read out of that. */
    private static final String STARTING_FILES = """
            no file                          |
            an empty file                    | ~
            no final newline                 | A=1
            blank lines                      | \\n\\nA=1\\n\\n\\n
            CRLF                             | A=1\\r\\nDATABASE_URL=old\\r\\nB=2\\r\\n
            CRLF, no final newline           | A=1\\r\\nB=2
            byte order mark                  | \\357\\273\\277A=1\\nB=2\\n
            byte order mark, entry           | \\357\\273\\277DATABASE_URL=old\\nB=2\\n
            byte order mark, CRLF            | \\357\\273\\277DATABASE_URL=old\\r\\nB=2\\r\\n
            byte order mark alone            | \\357\\273\\277
            export of others                 | export A=1\\n
            export                           | export DATABASE_URL=old\\nexport DATABASE_URL_UNPOOLED=old\\n | dotenv-java
            spaces around =                  | DATABASE_URL = old\\nDATABASE_URL_UNPOOLED= "old"\\nA = 1\\nB =\\t'2'\\n
            indented                         | \\s DATABASE_URL=old\\n\\tA=1\\n
            double quotes                    | DATABASE_URL="old"\\nA="1 2"\\n
            single quotes                    | DATABASE_URL='old'\\nA='1 2'\\n
            backticks                        | DATABASE_URL=`old`\\nA=1\\n
            quotes in quotes                 | DATABASE_URL="it's"\\nA='say "1"'\\nB="it's"\\n
            several lines, double quotes     | DATABASE_URL="old\\nolder"\\nA="1\\n\\n2"\\nB=3\\n
            several lines, single quotes     | DATABASE_URL='old\\nolder'\\nA='1\\n\\n2'\\nB=3\\n
            several lines, backticks         | DATABASE_URL=`old\\nolder`\\nA=1\\n
            several lines, CRLF              | DATABASE_URL="old\\r\\nolder"\\r\\nA="1\\r\\n2"\\r\\nB=3\\r\\n
            duplicates                       | DATABASE_URL=1\\nA=1\\nDATABASE_URL=2\\nDATABASE_URL_UNPOOLED=3\\nDATABASE_URL=4\\n
            commented                        | #DATABASE_URL=old\\n# DATABASE_URL="old\\nA=1\\n # export DATABASE_URL='old\\n
            longer keys                      | MY_DATABASE_URL=1\\nDATABASE_URL_2=2\\nDATABASE_URLS=3\\n
            colon                            | DATABASE_URL: old\\nA: 1\\n
            trailing comments                | DATABASE_URL=old # why\\nA=1 # "why\\n
            trailing comments, quotes        | DATABASE_URL="old" # it's "why"\\nDATABASE_URL_UNPOOLED='old'\\t# it's "why"\\n
            no value                         | DATABASE_URL=\\nA=\\nDATABASE_URL_UNPOOLED= # why\\n
            no value at the end              | A=
            the other one                    | DATABASE_URL_UNPOOLED=old\\nA=1
            a hash in a value                | A="1 # 2"\\nDATABASE_URL=a#b\\n
            a dollar in a value              | A="$HOME/1"\\nB='$HOME'\\nDATABASE_URL=$HOME\\n
            a backslash at the end           | A.B=C:\\\\
            a backslash before               | A.B=C:\\\\\\nDATABASE_URL=old\\nB=1\\n
            bare carriage returns            | A=1\\rB=2\\r
            bare carriage returns, entry     | DATABASE_URL=old\\rB=2\\rA=1
            a blank value and a space        | A.B= \\nDATABASE_URL=old\\nB=2\\n
            a section                        | a.section:\\nDATABASE_URL=old\\nB=2\\n
            a quote that another closes      | A.B="Joe\\nDATABASE_URL=old\\nB.B="3000"\\nC=1\\n
            an apostrophe that one closes    | A.B='Joe\\nDATABASE_URL=old\\n# it's\\nC=1\\n
            a header                         | #!/bin/sh\\n# ours\\nA=1\\nDATABASE_URL=old\\nB.B=$DATABASE_URL\\n
            no entries at all                | this is\\nno env file at all: nothing\\n
            Latin-1                          | A=caf\\351\\nDATABASE_URL=\\351\\n                          | python-dotenv, dotenv-java
            a quote that does not close      | A="1\\nDATABASE_URL=old\\nB=2\\n
            an apostrophe                    | A=it's\\nDATABASE_URL=old\\n
            """;

    /**
     * A file that was written.
     *
     * @param folder where it is; next to it, under the same name and {@code -before}, is the one that was there before
     * @param password the password in its connection strings
     * @param unreadableBy readers that cannot find our entries by their own rules
     */
    private record Case(String name, Path folder, String password, String expected, String expectedUnpooled, List<String> unreadableBy) {

        Path before() {
            return folder.resolveSibling(folder.getFileName() + "-before");
        }

        Map<String, String> entries() {
            return Map.of("DATABASE_URL", expected, "DATABASE_URL_UNPOOLED", expectedUnpooled);
        }
    }

    @TempDir
    private static Path folder;

    private static final List<Case> cases = new ArrayList<>();

    @BeforeAll
    static void write() throws IOException {
        try (Sandbox sandbox = Sandbox.withoutPostgres()) {
            sandbox.neon().operationsTake(Duration.ZERO);
            for (String line : STARTING_FILES.lines().toList()) {
                String[] row = line.split("\\|", -1);
                String content = row[1].isBlank() ? null : row[1].strip().replace("~", "").translateEscapes();
                write(sandbox, row[0].strip(), content, PASSWORD, false, row.length > 2 ? List.of(row[2].strip().split(", ")) : List.of());
            }
            write(sandbox, "plain password", "A=1\n", "npg_5Rt2aXq9", false, List.of());
            write(sandbox, "password that is not encoded", "A=1\n", RAW_PASSWORD, true, List.of());
        }
    }

    private static void write(Sandbox sandbox, String name, String before, String password, boolean isRaw, List<String> unreadableBy)
            throws IOException {
        Case made = new Case(name, folder.resolve(String.valueOf(cases.size())), password, "", "", unreadableBy);
        for (Path place : List.of(made.folder(), made.before())) {
            Files.createDirectory(place);
            if (before != null) {
                Files.write(place.resolve(".env"), before.getBytes(StandardCharsets.ISO_8859_1));
            }
        }
        sandbox.neon().passwords(() -> password);
        sandbox.neon().roles("production", "neondb_owner");
        sandbox.forgetExchanges();
        if (isRaw) {
            SandboxBranch branch = sandbox.neon().add(SandboxAws.APP_ID + "-" + name);
            for (boolean pooled : List.of(true, false)) {
                String host = sandbox.neon().host(branch.computes.get(0), pooled);
                String uri = "postgresql://neondb_owner:" + password + "@" + host + "/neondb?sslmode=require";
                sandbox.fail("GET", "/connection_uri\\?pooled=" + pooled + "$", 1,
                        Fault.status(200, Cli.JSON.createObjectNode().put("uri", uri).toString(), Map.of()));
            }
        }
        Cli.Result created = Cli.create(sandbox, Cli.withKey(sandbox), made.folder().resolve(".env"), "--branch-name", name);
        assertEquals(0, created.exitCode(), created.err());
        cases.add(new Case(name, made.folder(), password, handedOut(sandbox, true), handedOut(sandbox, false), unreadableBy));
    }

    /** Returns the connection string that Neon answered with. Where it holds raw characters, a string is written that means the same. */
    private static String handedOut(Sandbox sandbox, boolean pooled) throws IOException {
        Exchange answer = sandbox.exchanges().stream().filter(exchange -> String.valueOf(pooled).equals(exchange.query().get("pooled")))
                .findFirst().orElseThrow();
        return Cli.JSON.readTree(answer.responseBody()).path("uri").asText()
                .replace(RAW_PASSWORD, SdkHttpUtils.urlEncode(RAW_PASSWORD));
    }

    @TestFactory
    Stream<DynamicTest> npms_dotenv() {
        return cells("dotenv", node(NODE_22, Npm.packages(PACKAGES), """
                import dotenv from 'dotenv';
                const read = folder => {
                    const processEnv = {};
                    dotenv.config({ path: folder + '/.env', processEnv, quiet: true });
                    return processEnv;
                };"""));
    }

    @TestFactory
    Stream<DynamicTest> nexts_env() {
        return cells("@next/env", node(NODE_22, Npm.packages(PACKAGES), """
                import next from '@next/env';
                const read = folder => next.loadEnvConfig(folder, false, { info() {}, error() {} }, true).parsedEnv ?? {};"""));
    }

    @TestFactory
    Stream<DynamicTest> vites_load_env() {
        return cells("vite", node(NODE_22, Npm.packages(PACKAGES), """
                import { loadEnv } from 'vite';
                const read = folder => loadEnv('production', folder, '');"""));
    }

    @TestFactory
    Stream<DynamicTest> nodes_env_file() {
        return Stream.of(NODE_22, NODE_24).flatMap(version -> cells("node " + version, node(version, folder, """
                import { spawnSync } from 'node:child_process';
                import { existsSync } from 'node:fs';
                const print = ['-p', 'JSON.stringify(process.env)'];
                const read = folder => existsSync(folder + '/.env') ? JSON.parse(spawnSync(process.execPath,
                        ['--env-file=' + folder + '/.env', ...print], { encoding: 'utf8', env: {} }).stdout) : {};""")));
    }

    @TestFactory
    Stream<DynamicTest> bashs_source() {
        return cells("bash", run(folder, "bash", "--noprofile", "--norc", "-c", """
                for folder; do
                    printf '%s\\0' "$folder"
                    (set -a; source "$folder/.env"; env -0 | tr '\\200-\\377' '?')
                    printf '\\0'
                done""", "bash"));
    }

    @TestFactory
    Stream<DynamicTest> pythons_dotenv() {
        assumeTrue(Shell.run(folder, Map.of(), "/usr/bin/env", "python3", "-c", "import dotenv").exitCode() == 0,
                "there is no python-dotenv here");
        return cells("python-dotenv", run(folder, "python3", "-c", """
                import dotenv, sys
                for folder in sys.argv[1:]:
                    try:
                        values = dotenv.dotenv_values(folder + '/.env')
                    except UnicodeDecodeError:
                        values = {}
                    print(end='\\0'.join([folder] + [key + '=' + (value or '') for key, value in values.items()]) + '\\0\\0')"""));
    }

    @TestFactory
    Stream<DynamicTest> javas_dotenv() {
        Map<String, Map<String, String>> read = new HashMap<>();
        for (String place : folders()) {
            Map<String, String> entries = new HashMap<>();
            read.put(place, entries);
            try {
                Dotenv.configure().directory(place).ignoreIfMissing().ignoreIfMalformed().load().entries(Dotenv.Filter.DECLARED_IN_ENV_FILE)
                        .forEach(entry -> entries.put(entry.getKey(), entry.getValue()));
            } catch (DotenvException e) {
                assertTrue(e.getCause() instanceof CharacterCodingException, e::toString);
            }
        }
        return cells("dotenv-java", read);
    }

    /** Makes of each file a test that the reader reads our entries as they were handed out, and all else as it did before. */
    private static Stream<DynamicTest> cells(String reader, Map<String, Map<String, String>> read) {
        return cases.stream().map(file -> DynamicTest.dynamicTest(reader + ": " + file.name(), () -> {
            Map<String, String> after = read.get(file.folder().toString());
            Map<String, String> entries = new TreeMap<>(after);
            entries.keySet().retainAll(file.entries().keySet());
            if (file.unreadableBy().contains(reader)) {
                assertNotEquals(meanings(file.entries()), meanings(entries));
                return;
            }
            assertEquals(meanings(file.entries()), meanings(entries));
            entries.values().forEach(uri -> assertEquals("neondb_owner:" + file.password(), URI.create(uri).getUserInfo()));
            // What was misread before, such as a part of an old value for a key, may well be gone.
            Map<String, String> before = new TreeMap<>(read.get(file.before().toString()));
            before.keySet().removeIf(key -> !key.matches("\\w+") || entries.containsKey(key));
            Map<String, String> rest = new TreeMap<>(after);
            rest.keySet().retainAll(before.keySet());
            assertEquals(before, rest);
        }));
    }

    /** Decodes connection strings, which may be encoded more or less. */
    private static Map<String, String> meanings(Map<String, String> uris) {
        Map<String, String> meanings = new TreeMap<>();
        uris.forEach((key, uri) -> meanings.put(key, URLDecoder.decode(uri.replace("+", "%2B"), StandardCharsets.UTF_8)));
        return meanings;
    }

    /** Reads all files in one process of this version of Node, with a script that says how to read one. */
    private static Map<String, Map<String, String>> node(String version, Path place, String script) {
        // What npm's package "node" installs by a script, for this machine.
        String machine = (System.getProperty("os.name").startsWith("Mac") ? "darwin" : "linux")
                + (System.getProperty("os.arch").equals("aarch64") ? "-arm64" : "-x64");
        Path node = Npm.packages("node-" + machine + "@" + version).resolve("node_modules/node-" + machine + "/bin/node");
        return run(place, node.toString(), "--input-type=module", "-e", script + """

                for (const folder of process.argv.slice(1)) {
                    const entries = Object.entries(read(folder)).map(entry => entry.join('='));
                    process.stdout.write([folder, ...entries, '', ''].join('\\0'));
                }""");
    }

    /** Runs a program that reads the files of the folders it is given, and prints each folder and its entries, a zero byte after each. */
    private static Map<String, Map<String, String>> run(Path place, String... command) {
        List<String> all = new ArrayList<>(List.of(command));
        all.addAll(folders());
        Shell.Result result = Shell.run(place, Map.of(), all.toArray(String[]::new));
        assertEquals(0, result.exitCode(), result.err());
        Map<String, Map<String, String>> read = new HashMap<>();
        for (String file : result.out().split("\0\0")) {
            String[] parts = file.split("\0");
            read.put(parts[0], Arrays.stream(parts).skip(1).filter(entry -> !entry.startsWith("_=")).map(entry -> entry.split("=", 2))
                    .collect(Collectors.toMap(entry -> entry[0], entry -> entry[1])));
        }
        return read;
    }

    private static List<String> folders() {
        return cases.stream().flatMap(file -> Stream.of(file.folder(), file.before())).map(Path::toString).toList();
    }
}

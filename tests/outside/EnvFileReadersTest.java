//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java
//SOURCES Npm.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
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

/** Real readers of env files read the connection strings that Neon sent, and the rest of the file as before. */
@Tag("slow")
class EnvFileReadersTest {

    private static final String[] PACKAGES = {"dotenv@18.0.10", "@next/env@16.4.6", "vite@8.3.8"};
    private static final String NODE_22 = "22.23.3";
    private static final String NODE_24 = "24.21.0";

    /** Every character that a shell or a parser of env files interprets, and every one that a URI must encode. */
    private static final String PASSWORD = "npg_$\"'`\\+ &=;{}()<>^|~!*,é日😀$HOME${HOME}$(id)\\n"
            + SdkHttpUtils.urlEncode("$\"'`\\@/#+ :?%&=;{}[]()<>^|~!*,é日😀$HOME${HOME}$(id)%20\\n");

    /** The file before, with octal escapes for its bytes. Keys with a dot are not compared: readers misread them there. */
    private static final String FILES = """
            no file                          |
            an empty file                    | ~
            no final newline                 | A=1
            blank lines                      | \\n\\nA=1\\n\\n\\n
            CRLF                             | A=1\\r\\nDATABASE_URL=old\\r\\nB=2
            byte order mark                  | \\357\\273\\277A=1\\nB=2\\n
            byte order mark, entry           | \\357\\273\\277DATABASE_URL=old\\nB=2\\n
            byte order mark, CRLF            | \\357\\273\\277DATABASE_URL=old\\r\\nB=2\\r\\n
            byte order mark alone            | \\357\\273\\277
            export                           | export A=1\\nexport DATABASE_URL=old\\nexport DATABASE_URL_UNPOOLED=old\\n
            spaces                           | \\s DATABASE_URL = old\\n\\tDATABASE_URL_UNPOOLED= "old"\\nA = 1\\nB =\\t'2'\\n
            quotes                           | DATABASE_URL="old"\\nA="1 2"\\nDATABASE_URL='old'\\nB='1 2'\\nDATABASE_URL=`old`\\n
            quotes in quotes                 | DATABASE_URL="it's"\\nA='say "1"'\\nB="it's"\\n
            several lines, double quotes     | DATABASE_URL="old\\nolder"\\nA="1\\n\\n2"\\nB=3\\n
            several lines, single quotes     | DATABASE_URL='old\\nolder'\\nA='1\\n\\n2'\\nB=3\\n
            several lines, backticks         | DATABASE_URL=`old\\nolder`\\nA=1\\n
            several lines, CRLF              | DATABASE_URL="old\\r\\nolder"\\r\\nA="1\\r\\n2"\\r\\nB=3\\r\\n
            duplicates                       | DATABASE_URL=1\\nA=1\\nDATABASE_URL=2\\nDATABASE_URL_UNPOOLED=3\\nDATABASE_URL=4\\n
            comments                         | #DATABASE_URL=old\\n# DATABASE_URL="old\\nA=1 # "why\\n # export DATABASE_URL='old\\n
            comments after entries           | DATABASE_URL="old" # it's "why"\\nDATABASE_URL_UNPOOLED='old'\\t# it's "why"\\n
            longer keys                      | MY_DATABASE_URL=1\\nDATABASE_URL_2=2\\nDATABASE_URLS=3\\n
            colon                            | DATABASE_URL: old\\nA: 1\\n
            no value                         | DATABASE_URL=\\nA=\\nDATABASE_URL_UNPOOLED= # why\\nDATABASE_URL\\nB=
            a hash in a value                | A="1 # 2"\\nDATABASE_URL=a#b\\n
            a dollar in a value              | A="$HOME/1"\\nB='$HOME'\\nDATABASE_URL=$HOME\\n
            a backslash before               | A.B=C:\\\\\\nDATABASE_URL=old\\nB=1\\n
            a header                         | #!/bin/sh\\n# ours\\nA=1\\nDATABASE_URL=old\\nB.B=$DATABASE_URL\\n
            no entries                       | this is\\nno env file: nothing\\n
            Latin-1                          | A=caf\\351\\nDATABASE_URL=\\351\\n
            an apostrophe                    | A=it's\\nDATABASE_URL=old\\n
            a blank value before             | A.B= \\nDATABASE_URL=old\\nB=2\\n
            a tab as a value before, CRLF    | A.B=\\t\\r\\nDATABASE_URL=old\\r\\nB=2\\r\\n
            a blank value before, export     | export A.B= \\nexport DATABASE_URL=old\\nB=2\\n
            a quote that a later line closes | A.B="Joe\\nDATABASE_URL=old\\nB.B="3000"\\nC=1\\n
            an apostrophe closed by another  | A.B='Joe\\nDATABASE_URL=old\\nB.B=don't\\nC=1\\n
            an apostrophe closed by a comment| A.B='Joe\\nDATABASE_URL=old\\n# it's\\nC=1\\n
            a backtick closed by another     | A.B=`Joe\\nDATABASE_URL=old\\nB.B=`3000`\\nC=1\\n
            a section before                 | a.section:\\nDATABASE_URL=old\\nB=2\\n
            an equals sign before            | =DATABASE_URL=old\\nB=2\\n
            carriage returns                 | A.A=1\\rDATABASE_URL=old\\rB.B=2\\r#\\rDATABASE_URL=old\\nC=1
            odd blanks                       | \\302\\240DATABASE_URL=1\\n\\fDATABASE_URL=2\\nDATABASE_URL\\302\\240=3\\nB=2\\n
            odd blanks, export               | export\\302\\240DATABASE_URL=1\\nA=1\\n\\357\\273\\277DATABASE_URL=2\\nB=2\\n
            a Unicode line separator         | # A\\342\\200\\250DATABASE_URL=old\\nB=2\\n
            """;

    @TempDir
    private static Path folder;

    /** The folder of each file. Beside it, with {@code -before} in its name, is the folder of the file before. */
    private static final Map<String, Path> files = new LinkedHashMap<>();

    private static final Map<String, String> entries = new TreeMap<>();

    @BeforeAll
    static void write() throws IOException {
        for (String line : FILES.lines().toList()) {
            String[] row = line.split("\\|", 2);
            Path written = folder.resolve(String.valueOf(files.size()));
            files.put(row[0].strip(), written);
            for (Path place : List.of(written, before(written))) {
                Files.createDirectory(place);
                if (!row[1].isBlank()) {
                    String content = row[1].strip().replace("~", "").translateEscapes();
                    Files.writeString(place.resolve(".env"), content, StandardCharsets.ISO_8859_1);
                }
            }
        }
        try (Sandbox sandbox = Sandbox.withoutPostgres()) {
            sandbox.neon().operationsTake(Duration.ZERO);
            SandboxBranch branch = sandbox.neon().add(Cli.BRANCH);
            for (boolean pooled : List.of(true, false)) {
                String uri = "postgresql://neondb_owner:" + PASSWORD + "@" + sandbox.neon().host(branch.computes.get(0), pooled)
                        + "/neondb";
                entries.put(pooled ? "DATABASE_URL" : "DATABASE_URL_UNPOOLED", uri);
                sandbox.fail("GET", "/connection_uri\\?pooled=" + pooled + "$", 1,
                        Fault.status(200, Cli.JSON.createObjectNode().put("uri", uri).toString(), Map.of()));
            }
            String[] args = Stream.concat(Stream.of("create-branch"), files.values().stream().flatMap(written ->
                    Stream.of("--env-file", written.resolve(".env").toString()))).toArray(String[]::new);
            Cli.Result created = Cli.run(sandbox, Cli.withKey(sandbox), args);
            assertEquals(0, created.exitCode(), created.err());
        }
    }

    private static Path before(Path written) {
        return written.resolveSibling(written.getFileName() + "-before");
    }

    @TestFactory
    Stream<DynamicTest> npms_dotenv() {
        return tests("dotenv", node(NODE_22, Npm.packages(PACKAGES), """
                import dotenv from 'dotenv';
                const read = folder => {
                    const processEnv = {};
                    dotenv.config({ path: folder + '/.env', processEnv, quiet: true });
                    return processEnv;
                };"""));
    }

    @TestFactory
    Stream<DynamicTest> nexts_env() {
        return tests("@next/env", node(NODE_22, Npm.packages(PACKAGES), """
                import next from '@next/env';
                const read = folder => next.loadEnvConfig(folder, false, { info() {}, error() {} }, true).parsedEnv ?? {};"""));
    }

    @TestFactory
    Stream<DynamicTest> vites_load_env() {
        return tests("vite", node(NODE_22, Npm.packages(PACKAGES), """
                import { loadEnv } from 'vite';
                const read = folder => loadEnv('production', folder, '');"""));
    }

    @TestFactory
    Stream<DynamicTest> nodes_env_file() {
        return Stream.of(NODE_22, NODE_24).flatMap(version -> tests("node " + version, node(version, folder, """
                import { spawnSync } from 'node:child_process';
                import { existsSync } from 'node:fs';
                const print = ['-p', 'JSON.stringify(process.env)'];
                const read = folder => existsSync(folder + '/.env') ? JSON.parse(spawnSync(process.execPath,
                        ['--env-file=' + folder + '/.env', ...print], { encoding: 'utf8', env: {} }).stdout) : {};""")));
    }

    @TestFactory
    Stream<DynamicTest> bashs_source() {
        return tests("bash", run(folder, "bash", "--noprofile", "--norc", "-c", """
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
        return tests("python-dotenv", run(folder, "python3", "-c", """
                import dotenv, os, sys
                for folder in sys.argv[1:]:
                    path = folder + '/.env'
                    values = dotenv.dotenv_values(stream=open(path, errors='replace')) if os.path.exists(path) else {}
                    print(end='\\0'.join([folder] + [key + '=' + (value or '') for key, value in values.items()]) + '\\0\\0')"""));
    }

    /** Returns a test for each file. */
    private static Stream<DynamicTest> tests(String reader, Map<String, Map<String, String>> read) {
        return files.entrySet().stream().map(file -> DynamicTest.dynamicTest(reader + ": " + file.getKey(), () -> {
            Map<String, String> after = read.get(file.getValue().toString());
            entries.forEach((key, uri) -> assertEquals(decode(uri), decode(after.getOrDefault(key, "")), key));
            // Where a reader misread the old file, its parts may well be gone.
            Map<String, String> before = new TreeMap<>(read.get(before(file.getValue()).toString()));
            before.keySet().removeIf(key -> !key.matches("\\w+") || entries.containsKey(key));
            Map<String, String> rest = new TreeMap<>(after);
            rest.keySet().retainAll(before.keySet());
            assertEquals(before, rest);
        }));
    }

    private static String decode(String uri) {
        return URLDecoder.decode(uri.replace("+", "%2B"), StandardCharsets.UTF_8);
    }

    /** Reads all files in one process of this version of Node, by a script that defines how to read one. */
    private static Map<String, Map<String, String>> node(String version, Path place, String script) {
        // npm's package "node" installs this one, for the machine's platform, by a script.
        String platform = (System.getProperty("os.name").startsWith("Mac") ? "darwin" : "linux")
                + (System.getProperty("os.arch").equals("aarch64") ? "-arm64" : "-x64");
        Path node = Npm.packages("node-" + platform + "@" + version).resolve("node_modules/node-" + platform + "/bin/node");
        return run(place, node.toString(), "--input-type=module", "-e", script + """

                for (const folder of process.argv.slice(1)) {
                    const entries = Object.entries(read(folder)).map(entry => entry.join('='));
                    process.stdout.write([folder, ...entries, '', ''].join('\\0'));
                }""");
    }

    /** Runs a program that reads the files in these folders and prints each folder and its entries, with a zero byte after each. */
    private static Map<String, Map<String, String>> run(Path place, String... command) {
        List<String> all = new ArrayList<>(List.of(command));
        files.values().forEach(written -> all.addAll(List.of(written.toString(), before(written).toString())));
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
}

//SOURCES Readme.java
//SOURCES Rehearsal.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A real app, built by the README's buildspec: migrated, built, started, and asked over HTTP which database it answers from. */
@Tag("slow")
class RealAppTest {

    private static final Map<String, String> APP = Map.of(
            "package.json", """
                    {
                      "private": true,
                      "scripts": {"build": "next build", "start": "next start"},
                      "dependencies": {"next": "16.4.6", "react": "19.3.1", "react-dom": "19.3.1", "pg": "8.23.1", "node-pg-migrate": "9.0.0"}
                    }
                    """,
            "app/layout.js", "export default ({ children }) => <html><body>{children}</body></html>;\n",
            "app/page.js", """
                    import pg from 'pg';

                    export const dynamic = 'force-dynamic';

                    export default async function Page() {
                      const client = new pg.Client(process.env.DATABASE_URL);
                      await client.connect();
                      const { rows } = await client.query('select count(*) as customers from customers where active');
                      await client.end();
                      return <p>{`active customers: ${rows[0].customers}`}</p>;
                    }
                    """,
            "migrations/1_active.sql", """
                    -- Up Migration
                    alter table customers add column active boolean not null default true;
                    insert into customers (name) values ('Dogwood Deli');
                    """);

    @TempDir
    static Path folder;

    @Test
    void answers_from_its_branchs_database_and_not_from_its_parents() throws Exception {
        assumeTrue(System.getenv("CI") != null || Shell.run(folder, Map.of(), "/usr/bin/env", "npm", "--version").exitCode() == 0,
                "there is no npm here");
        try (Sandbox sandbox = Sandbox.start()) {
            Path app = folder.resolve("app");
            for (Map.Entry<String, String> file : APP.entrySet()) {
                Files.createDirectories(app.resolve(file.getKey()).getParent());
                Files.writeString(app.resolve(file.getKey()), file.getValue());
            }
            Rehearsal rehearsal = new Rehearsal(folder, sandbox);
            rehearsal.useApp(app);
            Rehearsal.Build build = rehearsal.build(buildspec(), "feature/login", Map.of("NEXT_TELEMETRY_DISABLED", "1"));
            assertTrue(build.isDeployed(), build.log());

            assertEquals("active customers: 4", ask(build.folder()));
            try (Connection production = SandboxPostgres.connect(sandbox.neon().connectionString("production"));
                    Statement statement = production.createStatement();
                    ResultSet rows = statement.executeQuery("select * from customers")) {
                assertEquals(2, rows.getMetaData().getColumnCount(), "production was not migrated");
                int count = 0;
                while (rows.next()) {
                    count++;
                }
                assertEquals(3, count);
            }
        }
    }

    /** Returns the README's buildspec for a frontend; there is no lock file to install from. */
    private static String buildspec() {
        assertTrue(Readme.frontendOnly().contains("- npm ci\n"));
        return Readme.frontendOnly().replace("- npm ci\n", "- npm install --no-audit --no-fund\n");
    }

    /** Starts the app's production server, with nothing in its environment of what the build had, and returns what its page says. */
    private static String ask(Path place) throws Exception {
        int port;
        try (ServerSocket free = new ServerSocket(0)) {
            port = free.getLocalPort();
        }
        ProcessBuilder builder = new ProcessBuilder("node", "node_modules/next/dist/bin/next", "start", "-H", "127.0.0.1", "-p",
                String.valueOf(port))
                .directory(place.toFile()).redirectErrorStream(true).redirectOutput(place.resolve("server.log").toFile());
        builder.environment().keySet().retainAll(Set.of("PATH"));
        Process server = builder.start();
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        try {
            Instant deadline = Instant.now().plus(Duration.ofMinutes(1));
            while (true) {
                try {
                    HttpResponse<String> response = client.send(
                            HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/")).build(), HttpResponse.BodyHandlers.ofString());
                    Matcher matcher = Pattern.compile("active customers: \\d+").matcher(response.body());
                    assertTrue(matcher.find(), () -> response.statusCode() + "\n" + log(place));
                    return matcher.group();
                } catch (IOException e) {
                    assertTrue(server.isAlive() && Instant.now().isBefore(deadline), () -> e + "\n" + log(place));
                    Thread.sleep(200);
                }
            }
        } finally {
            server.descendants().forEach(ProcessHandle::destroyForcibly);
            server.destroyForcibly().waitFor();
        }
    }

    private static String log(Path place) {
        try {
            return Files.readString(place.resolve("server.log"));
        } catch (IOException e) {
            return e.toString();
        }
    }
}

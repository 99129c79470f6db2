//SOURCES Npm.java
//SOURCES Readme.java
//SOURCES Rehearsal.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A real app, built as Amplify does: migrated by Prisma, built and started by Next.js. Its page shows which database it uses. */
@Tag("slow")
class RealAppTest {

    private static final String[] PACKAGES = {"next@16.4.6", "react@19.3.1", "react-dom@19.3.1", "pg@8.23.1", "dotenv@18.0.10",
        "prisma@6.19.3", "@prisma/adapter-pg@7.10.1"};

    private static final Map<String, String> APP = Map.of(
            "package.json", """
                    {"private": true, "scripts": {"build": "next build"}}
                    """,
            // The packages are in a folder above the app, for all builds.
            "next.config.mjs", """
                    export default { turbopack: { root: new URL('..', import.meta.url).pathname } };
                    """,
            "app/layout.js", "export default ({ children }) => <html><body>{children}</body></html>;\n",
            "app/page.js", """
                    import pg from 'pg';

                    export const dynamic = 'force-dynamic';

                    export default async function Page() {
                      const client = new pg.Client(process.env.DATABASE_URL);
                      await client.connect();
                      const { rows } = await client.query('select name from customers where active order by id');
                      await client.end();
                      return <p>{`active customers: ${rows.map((row) => row.name).join(', ')}.`}</p>;
                    }
                    """,
            // Uses the engine that needs no download from Prisma, and its own schema, since Prisma starts only in an empty one.
            "prisma.config.mjs", """
                    import 'dotenv/config';
                    import { PrismaPg } from '@prisma/adapter-pg';

                    export default {
                      experimental: { adapter: true },
                      engine: 'js',
                      adapter: async () => new PrismaPg(process.env.DIRECT_URL, { schema: 'migrations' }),
                    };
                    """,
            "prisma/schema.prisma", """
                    datasource db {
                      provider = "postgresql"
                      url      = env("DIRECT_URL")
                    }
                    """,
            "prisma/migrations/1_active/migration.sql", """
                    alter table public.customers add column active boolean not null default true;
                    insert into public.customers (name) values ('Dogwood Deli');
                    """);

    @TempDir
    static Path folder;

    private static Sandbox sandbox;
    private static Rehearsal rehearsal;

    @BeforeAll
    static void start() throws IOException {
        Shell.copy(Npm.packages(PACKAGES).resolve("node_modules"), folder.resolve("node_modules"));
        Path app = folder.resolve("app");
        for (Map.Entry<String, String> file : APP.entrySet()) {
            Files.createDirectories(app.resolve(file.getKey()).getParent());
            Files.writeString(app.resolve(file.getKey()), file.getValue());
        }
        sandbox = Sandbox.start();
        rehearsal = new Rehearsal(folder, sandbox);
        rehearsal.useApp(app);
    }

    @AfterAll
    static void stop() {
        if (sandbox != null) {
            sandbox.close();
        }
    }

    @Test
    void previews_use_their_branchs_database_and_production_uses_productions() throws Exception {
        Rehearsal.Build preview = build("feature/login");
        assertTrue(preview.log().contains("1_active"), preview.log());
        assertEquals("Alder Books, Birch Bikes, Cedar Cinema, Dogwood Deli", customers(preview.folder()));
        String production = sandbox.neon().connectionString("production");
        assertEquals(List.of("id", "name"), columns(production), "a preview migrated production");
        assertEquals(List.of("id", "name", "active"), columns(sandbox.neon().connectionString(Cli.BRANCH)));

        SandboxPostgres.query(production, "insert into customers (name) values ('Elm Estates')");
        assertEquals("Alder Books, Birch Bikes, Cedar Cinema, Elm Estates, Dogwood Deli", customers(build("main").folder()));
        assertEquals(List.of("id", "name", "active"), columns(production));
        assertFalse(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-main"));
    }

    /** Builds with the README's commands for Prisma. The packages are installed already. */
    private static Rehearsal.Build build(String branch) throws IOException {
        // Prisma looks for an engine that it does not use, and accepts any file.
        Rehearsal.Build build = rehearsal.build(Readme.frontendFor("Prisma").replace("npm ci\n", "npm --version\n"), branch,
                Map.of("NEXT_TELEMETRY_DISABLED", "1", "CHECKPOINT_DISABLE", "1", "PRISMA_QUERY_ENGINE_LIBRARY",
                        folder.resolve("app/package.json").toString()));
        assertTrue(build.isDeployed(), build.log());
        return build;
    }

    /** Starts the app's production server, without the build's environment, and returns the customers on its page. */
    private static String customers(Path place) throws Exception {
        ProcessBuilder builder = new ProcessBuilder("node", folder.resolve("node_modules/next/dist/bin/next").toString(), "start",
                "-H", "127.0.0.1", "-p", "0").directory(place.toFile()).redirectErrorStream(true);
        builder.environment().keySet().retainAll(Set.of("PATH"));
        Process server = builder.start();
        try (BufferedReader reader = server.inputReader()) {
            StringBuilder log = new StringBuilder();
            for (String line = reader.readLine(); line != null && !line.contains("Ready"); line = reader.readLine()) {
                log.append(line).append("\n");
            }
            Matcher address = Pattern.compile("http://127\\.0\\.0\\.1:\\d+").matcher(log);
            assertTrue(server.isAlive() && address.find(), log::toString);
            HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
            HttpResponse<String> response = client.send(HttpRequest.newBuilder(URI.create(address.group() + "/")).build(),
                    HttpResponse.BodyHandlers.ofString());
            Matcher page = Pattern.compile("active customers: ([^.]*)\\.").matcher(response.body());
            assertTrue(page.find(), () -> response.statusCode() + "\n" + response.body());
            return page.group(1);
        } finally {
            server.descendants().forEach(ProcessHandle::destroyForcibly);
            server.destroyForcibly().waitFor();
        }
    }

    private static List<String> columns(String connectionString) throws SQLException {
        return SandboxPostgres.query(connectionString, "select column_name from information_schema.columns where table_schema = 'public'"
                + " and table_name = 'customers' order by ordinal_position");
    }
}

//DEPS io.github.cdimascio:dotenv-java:3.2.0
//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.cdimascio.dotenv.Dotenv;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole way, through the real jbang and to a real PostgreSQL. */
@Tag("slow")
class EndToEndTest {

    @TempDir
    Path folder;

    @Test
    void a_branch_has_its_parents_rows_and_keeps_its_own_until_it_is_cleaned_up() throws SQLException {
        try (Sandbox sandbox = Sandbox.start()) {
            Shell.Result created = jbang(sandbox, "create-branch");
            String id = sandbox.neon().branch(Cli.BRANCH).id;
            assertEquals("""
                    Created Neon branch 'd1a2b3c4d5e6f7-feature/login' (%s) from 'production'.
                    Wrote DATABASE_URL and DATABASE_URL_UNPOOLED to .env.
                    """.formatted(id), created.out());
            assertEquals("", created.err().replaceAll("(?m)^\\[jbang].*\n", ""));
            assertEquals(0, created.exitCode());

            String production = sandbox.neon().connectionString("production");
            List<String> customers = customers(production);
            assertFalse(customers.isEmpty());
            assertEquals(customers, customers(entry("DATABASE_URL")));

            SandboxPostgres.query(entry("DATABASE_URL_UNPOOLED"), "insert into customers (name) values ('Dogwood Deli')");
            List<String> more = new ArrayList<>(customers);
            more.add("Dogwood Deli");
            assertEquals(more, customers(entry("DATABASE_URL")));
            assertEquals(customers, customers(production));

            String url = entry("DATABASE_URL");
            assertEquals(0, jbang(sandbox, "create-branch").exitCode());
            assertEquals(url, entry("DATABASE_URL"));
            assertEquals(more, customers(url));

            sandbox.aws().removeBranch("feature/login");
            Shell.Result cleaned = jbang(sandbox, "cleanup-branches", "--app-id", SandboxAws.APP_ID);
            assertTrue(cleaned.out().endsWith("\nDeleted 'd1a2b3c4d5e6f7-feature/login' (" + id + ").\n"), cleaned.out());
            assertEquals(0, cleaned.exitCode());
            assertThrows(SQLException.class, () -> customers(url));
            assertEquals(customers, customers(production));
        }
    }

    @Test
    void a_masked_branch_holds_no_row_of_productions_as_it_is() throws Exception {
        try (Sandbox sandbox = Sandbox.start()) {
            String production = sandbox.neon().connectionString("production");
            SandboxPostgres.query(production, "alter table customers add email text, add phone text, add card text");
            SandboxPostgres.query(production,
                    "update customers set email = 'owner' || id || '@shop.example', phone = '030 12345' || id, card = '4111 ' || id");
            List<List<String>> rows = rows(production);
            // As Neon does: until it says that the branch is masked, the rows are production's.
            sandbox.neon().maskingTakes(Duration.ofMillis(300), 2);
            Files.writeString(folder.resolve("masking-rules.json"), Stream.of("name|masking_value|'A customer'",
                    "email|masking_function|anon.fake_email()", "phone|masking_function|anon.partial(phone, 2, '***', 0)",
                    "card|masking_function|anon.random_string(8)").map(rule -> rule.split("[|]")).map(rule -> """
                            {"database_name": "neondb", "schema_name": "public", "table_name": "customers", "column_name": "%s",
                             "%s": "%s"}"""
                            .formatted((Object[]) rule)).collect(Collectors.joining(",\n", "[", "]")));

            for (String run : List.of("new", "reused")) {
                Shell.Result result = jbang(sandbox, "create-branch", "--masking-rules", "masking-rules.json");
                assertEquals(0, result.exitCode(), result.err());
                for (String variable : List.of("DATABASE_URL", "DATABASE_URL_UNPOOLED")) {
                    List<List<String>> masked = rows(entry(variable));
                    assertEquals(rows.size(), masked.size(), run);
                    for (int column = 0; column < 4; column++) {
                        int at = column;
                        List<String> unmasked = rows.stream().map(row -> row.get(at)).toList();
                        assertTrue(masked.stream().map(row -> row.get(at)).noneMatch(unmasked::contains), run + ": " + masked);
                    }
                    assertTrue(masked.stream().allMatch(row -> row.get(0).equals("A customer") && row.get(2).equals("03***")),
                            masked::toString);
                }
            }
            assertEquals(rows, rows(production));
        }
    }

    private static List<List<String>> rows(String connectionString) throws SQLException {
        return SandboxPostgres.query(connectionString, "select concat_ws('|', name, email, phone, card) from customers order by"
                + " id").stream()
                .map(row -> List.of(row.split("\\|"))).toList();
    }

    private Shell.Result jbang(Sandbox sandbox, String... args) {
        Path project = Path.of("").toAbsolutePath();
        List<String> command = new ArrayList<>(List.of(project + "/.ci/jbang", project + "/neon-ci.java"));
        command.addAll(List.of(args));
        String home = System.getProperty("user.home");
        Map<String, String> environment = sandbox.environment(Map.of("HOME", home, "JBANG_DIR",
                Optional.ofNullable(System.getenv("JBANG_DIR")).orElse(home + "/.jbang")));
        if (args[0].equals("cleanup-branches")) {
            // As from a laptop: a build of the branch that is gone could not clean up after itself.
            environment.remove("AWS_APP_ID");
        }
        Shell.Result result = Shell.run(folder, environment, command.toArray(String[]::new));
        Cli.assertNoSecret(sandbox.secrets(), result.out(), result.err());
        return result;
    }

    private String entry(String key) {
        return Dotenv.configure().directory(folder.toString()).load().get(key);
    }

    private static List<String> customers(String connectionString) throws SQLException {
        return SandboxPostgres.query(connectionString, "select name from customers order by id");
    }
}

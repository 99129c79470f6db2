import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * The variables that are written, and the one rule that what is written is what the app reads. A variable of the environment wins over an
 * entry of the same name in dotenv, Next.js, Vite, Prisma and Node; in Next.js and Vite other env files of a folder win over {@code .env}.
 *
 * @param pooled the name of the one for the pooled connection string
 * @param direct the name of the one for the direct connection string
 * @param environment gives a variable's value, or null when it is not set
 */
record Variables(String pooled, String direct, UnaryOperator<String> environment) {

    /** What Next.js or Vite, which differ in the order, may prefer to a written file of the same folder; the last one wins over all. */
    private static final List<String> WINNERS = List.of(".env.local", ".env.production", ".env.production.local");

    List<String> names() {
        return List.of(pooled, direct);
    }

    boolean isAnySet() {
        return names().stream().anyMatch(name -> environment.apply(name) != null);
    }

    /**
     * Refuses variables that can only be something else than what is to be written, since that is yet to be made.
     *
     * @throws Failure if one of them is set
     */
    void requireUnset() {
        names().stream().filter(name -> environment.apply(name) != null).findFirst().ifPresent(Variables::refuse);
    }

    /**
     * Refuses variables that are not what is to be written.
     *
     * @throws Failure if one of them is set to something else
     */
    void requireSame(Map<String, Secret> entries) {
        entries.forEach((name, value) -> {
            String set = environment.apply(name);
            if (set != null && !set.equals(value.value())) {
                refuse(name);
            }
        });
    }

    private static void refuse(String name) {
        throw new Failure("The variable " + name + " is set to something else than this branch's connection string, and the app would"
                + " read it instead of the env file; remove it from the Amplify console's variables, or 'unset " + name
                + "' before this command.");
    }

    /**
     * Refuses to write where it would not count.
     *
     * @param files the env files that are to be written
     * @throws Failure if another file sets one of the variables and wins
     */
    void requireRead(List<String> files) {
        List<Path> written = files.stream().map(file -> Path.of(file).toAbsolutePath().normalize()).toList();
        for (Path file : written) {
            boolean isRead = file.endsWith(".env") || WINNERS.stream().anyMatch(file::endsWith);
            if (!isRead || written.contains(file.resolveSibling(WINNERS.get(2)))) {
                continue;
            }
            WINNERS.stream().map(file::resolveSibling).filter(winner -> !written.contains(winner)).forEach(winner ->
                    names().stream().filter(new EnvFile(winner)::sets).findFirst().ifPresent(name -> {
                        throw new Failure(winner.getFileName() + " sets " + name + ", and Next.js and Vite read it instead of "
                                + file.getFileName() + "; name it with --env-file too, or remove the entry.");
                    }));
        }
    }
}

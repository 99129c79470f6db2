import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;

/**
 * An env file such as {@code .env}, in which entries are set.
 *
 * <p>The file is replaced whole, by a move of a finished temporary file, so whoever reads it finds the old or the new one.
 */
final class EnvFile {

    private static final String LOCK = ".env.neon-ci.tmp";
    private static final String TEMPORARY = ".env.neon-ci-";
    private static final String TEMPORARY_END = ".tmp";

    /** A file is written in a moment. */
    private static final Duration ABANDONED = Duration.ofSeconds(10);

    /** Connection strings are shorter than this, so room for such an entry is room for the real one. */
    private static final Secret PLACEHOLDER = new Secret("x".repeat(1024));

    private final Path path;

    EnvFile(Path path) {
        this.path = path;
    }

    /**
     * Tells whether the file has an entry of this key.
     *
     * @throws Failure if it cannot be read
     */
    boolean sets(String key) {
        try {
            return EnvEntries.sets(read(followLinks()), key);
        } catch (IOException | Failure e) {
            throw failure(e);
        }
    }

    /**
     * Finds out, before anything is created elsewhere, whether these keys can be written here: by doing it, but for the move.
     *
     * @param keys the keys that {@link #write} is going to set
     * @throws Failure if the file cannot be read or written
     */
    void check(List<String> keys) {
        Map<String, Secret> placeholders = new LinkedHashMap<>();
        keys.forEach(key -> placeholders.put(key, PLACEHOLDER));
        write(placeholders, true);
    }

    /**
     * Sets the entries in the file, which is made if it is not there. A file with the very same content is left alone.
     *
     * @param entries keys and their values, which may hold no character that a parser of env files treats as special
     * @throws Failure if the file cannot be read or written; it is then as it was
     */
    void write(Map<String, Secret> entries) {
        write(entries, false);
    }

    private void write(Map<String, Secret> entries, boolean isTrial) {
        Map<String, String> values = new LinkedHashMap<>();
        entries.forEach((key, value) -> values.put(key, value.value()));
        try {
            Path file = followLinks();
            Path lock = lock(file);
            try {
                String content = read(file);
                String merged = EnvEntries.merge(content, values);
                if (isTrial || !merged.equals(content)) {
                    replace(file, merged, lock, isTrial);
                }
            } finally {
                Files.deleteIfExists(lock);
            }
        } catch (IOException | Failure e) {
            throw failure(e);
        }
    }

    /** Lets one run at a time write in a folder, so that none loses what another sets. A lock left by a run that was killed soon ends. */
    private static Path lock(Path file) throws IOException {
        Path lock = file.resolveSibling(LOCK);
        while (true) {
            try {
                return Files.createFile(lock);
            } catch (FileAlreadyExistsException e) {
                long made = lock.toFile().lastModified(); // 0 if it has just gone; a clock that was set back puts it into the future.
                if (made > 0 && Math.abs(System.currentTimeMillis() - made) > ABANDONED.toMillis()) {
                    Files.deleteIfExists(lock);
                }
                LockSupport.parkNanos(Duration.ofMillis(10).toNanos());
            }
        }
    }

    /**
     * Moves a finished file, on disk, into the place of the env file. It has the env file's mode and owner, or for a new one the lock's,
     * which are what the umask leaves: who may read the app may read its env file, as server-side rendering on Lambda does as another user.
     */
    private static void replace(Path file, String content, Path lock, boolean isTrial) throws IOException {
        // A run that was killed between writing and moving left its temporary file, and in it a password. What cannot be deleted stays.
        File[] leftOvers = file.getParent().toFile()
                .listFiles((folder, name) -> name.startsWith(TEMPORARY) && name.endsWith(TEMPORARY_END));
        Stream.ofNullable(leftOvers).flatMap(Stream::of).forEach(File::delete);
        Path temporary = Files.createTempFile(file.getParent(), TEMPORARY, TEMPORARY_END);
        try {
            Files.writeString(temporary, content, StandardCharsets.ISO_8859_1, StandardOpenOption.SYNC);
            copyOwnerAndMode(Files.exists(file) ? file : lock, temporary);
            if (!isTrial) {
                move(temporary, file, content);
            }
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    private static void move(Path temporary, Path file, String content) throws IOException {
        try {
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (FileSystemException e) {
            if (!Files.isWritable(file)) {
                throw e;
            }
            // A file that is mounted by itself, as into a container, takes a new content and no other file in its place.
            Files.writeString(file, content, StandardCharsets.ISO_8859_1);
        }
    }

    /** An env file that root rewrites for another user still has to be readable by that user. Nobody else may give a file away. */
    private static void copyOwnerAndMode(Path from, Path to) {
        for (String attribute : List.of("posix:group", "posix:owner", "posix:permissions")) {
            try {
                Files.setAttribute(to, attribute, Files.getAttribute(from, attribute));
            } catch (IOException | UnsupportedOperationException e) {
                continue; // As far as the system lets one: Windows has none of these.
            }
        }
    }

    /** Writes through a symbolic link, to the file that it leads to, which need not be there yet. */
    private Path followLinks() throws IOException {
        Path file = path.toAbsolutePath();
        for (int links = 0; Files.isSymbolicLink(file); links++) {
            if (links == 40) {
                throw new Failure("its symbolic links go round in a circle");
            }
            file = file.resolveSibling(Files.readSymbolicLink(file));
        }
        return file;
    }

    private String read(Path file) throws IOException {
        if (!Files.exists(file)) {
            return "";
        }
        if (!Files.isRegularFile(file)) {
            throw new Failure("it is not a file");
        }
        String content = Files.readString(file, StandardCharsets.ISO_8859_1);
        if (content.indexOf('\0') >= 0) {
            throw new Failure("it is not UTF-8 text");
        }
        return content;
    }

    private Failure failure(Exception e) {
        String reason = e instanceof FileSystemException failed && failed.getReason() != null ? failed.getReason()
                : e instanceof AccessDeniedException ? "permission denied"
                : e instanceof NoSuchFileException ? "its folder is not there"
                : String.valueOf(e.getMessage());
        return new Failure("Could not write " + path + ": " + reason + "; mend this, or name another file with --env-file.", e);
    }
}

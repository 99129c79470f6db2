import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** Runs requests at the same time, each on a thread that does not keep the program alive. */
final class InParallel {

    static final int THREADS = 8;

    private final ThreadPoolExecutor threads =
            new ThreadPoolExecutor(THREADS, THREADS, 1, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), task -> {
                Thread thread = new Thread(task);
                thread.setDaemon(true);
                return thread;
            });

    InParallel() {
        // Where many runs share a JVM, as in tests, the threads of those that have ended would pile up.
        threads.allowCoreThreadTimeOut(true);
    }

    /** Starts a request, or lets it wait for its turn; those that were started first begin first. */
    <T> Future<T> start(Callable<T> request) {
        return threads.submit(request);
    }

    /** Returns what came out, or throws what the request threw. */
    static <T> T await(Future<T> future) {
        try {
            return future.get();
        } catch (ExecutionException e) {
            throw e.getCause() instanceof RuntimeException exception ? exception : new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            throw Failure.interrupted(e);
        }
    }
}

// Preloaded into dynalite, which ends when a client goes in the midst of a request; DynamoDB does not.
process.on('uncaughtException', (error) => {
  if (error.code !== 'ECONNRESET') throw error;
});
